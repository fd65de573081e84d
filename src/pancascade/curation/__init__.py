from pancascade.curation.findings import Finding, Severity

__all__ = ["Finding", "Severity"]
