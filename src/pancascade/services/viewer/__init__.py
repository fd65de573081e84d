"""Show one result in the browser: CT, mask, probability maps, lesions, corrections by hand."""

from pancascade.services.viewer.document import viewer_document
from pancascade.services.viewer.page_files import PageFile, page_files
from pancascade.services.viewer.pictures import CT, MASK, PROBABILITIES, Pictures
from pancascade.services.viewer.single_page import write_single_page

__all__ = ["CT", "MASK", "PROBABILITIES", "PageFile", "Pictures", "page_files", "viewer_document", "write_single_page"]
