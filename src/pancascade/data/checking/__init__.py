"""Is a data set sound?"""
