"""Structures by label names of data sets; a lesion of another organ is no pancreatic tumour."""

import re
from collections.abc import Mapping
from itertools import pairwise

from pancascade.data.readers.structure import Structure
from pancascade.labels import Label


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TUMOUR = _set_of(
    "tumour tumours tumor tumors cancer cancers lesion lesions mass masses cyst cysts pseudocyst pseudocysts carcinoma "
    "carcinomas adenocarcinoma adenocarcinomas neoplasm neoplasms malignancy pdac pdacs pnet pnets pannet ipmn ipmns"
)
_PANCREATIC = _set_of("pancreas pancreata pancreatic pankreas")
_PANCREAS = _PANCREATIC | {"parenchyma"}
_NEUTRAL = _set_of(
    "a an and with including incl plus normal healthy benign body class cystic ct ductal endocrine exocrine gross gt "
    "gtv head hyperdense hypodense isodense in label malignant manual mask mucinous necrotic neuroendocrine of or "
    "other papillary intraductal possible primary probable region roi seg segmentation serous solid suspected "
    "suspicious tail target the total tissue unspecified uncinate visible volume whole"
)
"""Words that do not name another organ."""

_WITHOUT = _set_of("no without excluding excl except minus sans")
_BOTH = _set_of("and with including incl plus")
_OTHER_DUCTS = _set_of("bile biliary common hepatic cystic cbd choledochal choledochus")


def structures_of(names: Mapping[int, str]) -> dict[int, Structure]:
    """Return the structure of each value of a label map from the data set's label names.

    In a data set of other organs only, a "cancer" is not pancreatic.

    Args:
        names: Names by value; 0 is background and left out.
    """
    found = {value: structure_named(name) for value, name in names.items() if value != 0}
    organs = {structure.label for structure in found.values()}
    if Label.PANCREAS in organs or Structure.OTHER not in found.values():
        return found
    said = {value for value, name in names.items() if _PANCREATIC & set(_words(name))}
    return {
        value: Structure.OTHER if structure is Structure.TUMOUR and value not in said else structure
        for value, structure in found.items()
    }


def structure_named(name: str) -> Structure:
    """Return the structure of a label name; `Structure.OTHER` if it is none of the known ones.

    A tumour counts as pancreatic if the name says so, or names no other organ: "tumor", "PDAC lesion" and "pancreatic
    cyst" do, "liver tumor" and "kidney_cyst_left" do not. Words after "without" or "no" are ignored. A name of organ
    and tumour, like "pancreas with tumor", is the organ.

    Args:
        name: Label name in a ``dataset.json``, or from TotalSegmentator.
    """
    words = _meant(_words(name))
    known = set(words)
    if known & _TUMOUR:
        return _with_tumour(words)
    if known & {"duct", "ducts", "cbd"}:
        return _duct(known)
    if known & {"vein", "veins", "venous"}:
        return Structure.VEIN
    if any(word.startswith("arter") for word in words):
        return Structure.ARTERY
    organ = known & _PANCREAS if not _foreign(known) else known & _PANCREATIC
    return Structure.PANCREAS if organ else Structure.OTHER


def _with_tumour(words: list[str]) -> Structure:
    for place, word in enumerate(words):
        after, before = words[place + 1 :], words[:place]
        joined = (after[:1], after), (before[-1:], before)
        if word in _PANCREAS and any(_BOTH & {*near} and _TUMOUR & {*side} for near, side in joined):
            return Structure.PANCREAS
    return Structure.TUMOUR if _PANCREATIC & {*words} or not _foreign({*words}) else Structure.OTHER


def _duct(words: set[str]) -> Structure:
    if words & _OTHER_DUCTS:
        return Structure.BILE_DUCT
    other = _foreign(words) - {"duct", "ducts", "main", "dilated"}
    return Structure.OTHER if other and not words & _PANCREAS else Structure.PANCREATIC_DUCT


def _foreign(words: set[str]) -> set[str]:
    """Return the words that may name another organ."""
    return {word for word in words - _TUMOUR - _NEUTRAL - _PANCREAS if not word.isdigit()}


def _words(name: str) -> list[str]:
    """Split a name into lower-case words, also namesLikeThis and names_like_this."""
    text = re.sub(r"\bw/o\b", "without", name, flags=re.IGNORECASE).replace("+", " plus ").replace("&", " and ")
    parts = re.findall(r"[A-ZÀ-Þ]+(?![a-zß-ÿ])|[A-ZÀ-Þ]?[a-zß-ÿ]+|\d+", text)
    joined = re.sub(r"\b(pancreas|pancreatic)(?=[a-np-z])", r"\1 ", " ".join(parts).casefold())
    return re.sub(r"\bnon(?=tum|pancrea|cancer|lesion)", "non ", joined).split()


def _meant(words: list[str]) -> list[str]:
    """Remove negated words; a negated organ is replaced by "elsewhere", which marks another organ."""
    kept: list[str] = []
    ruled_out = False
    for word, following in pairwise([*words, ""]):
        if word in _WITHOUT:
            break
        if ruled_out:
            kept += ["elsewhere"] if word in _PANCREAS else []
            ruled_out = False
        elif word in ("non", "not"):
            ruled_out = True
        elif following == "free":
            ruled_out = True  # and "free" goes with it
        else:
            kept.append(word)
    return kept
