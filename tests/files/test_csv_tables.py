"""Tables as Excel, LibreOffice and scripts save them."""

import codecs

import pytest

from pancascade.errors import DataError
from pancascade.files.csv_tables import read_table

COLUMNS = ("image", "patient")
TEXT = "image,patient\nct/a.nii.gz,Müller\nb.nii.gz,Østergård\n"
CELLS = [("ct/a.nii.gz", "Müller"), ("b.nii.gz", "Østergård")]


def cells_of(tmp_path, content, *, required=COLUMNS):
    (tmp_path / "list.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return [tuple(row[name] for name in required) for row in read_table(tmp_path / "list.csv", required=required)]


ENCODED = {
    "utf-8": TEXT.encode(),
    "utf-8 with a mark": TEXT.encode("utf-8-sig"),
    "utf-8 with two marks": codecs.BOM_UTF8 + TEXT.encode("utf-8-sig"),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16 with two marks": codecs.BOM_UTF16_LE + TEXT.encode("utf-16"),
    "utf-16 from a big-endian machine": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "utf-16 without a mark": TEXT.encode("utf-16-le"),
    "utf-16 big-endian without a mark": TEXT.encode("utf-16-be"),
    "utf-32": TEXT.encode("utf-32"),
    "latin-1": TEXT.encode("latin-1"),
    "windows-1252": TEXT.encode("cp1252"),
    "lines of Windows": TEXT.replace("\n", "\r\n").encode(),
    "lines of old Macs": TEXT.replace("\n", "\r").encode(),
    "semicolons": TEXT.replace(",", ";").encode(),
    "tabs": TEXT.replace(",", "\t").encode(),
    "bars": TEXT.replace(",", "|").encode(),
    "semicolons in utf-16 with lines of Windows": TEXT.replace(",", ";").replace("\n", "\r\n").encode("utf-16"),
    "Excel's line about the separator": b"sep=;\r\n" + TEXT.replace(",", ";").encode(),
    "capitals": TEXT.replace("image,patient", "IMAGE,Patient").encode(),
    "spaces": TEXT.replace(",", " , ").encode(),
    "spaces of no width for a break": TEXT.replace(",", "\u00a0,\u00a0").encode(),
    "quotes": b'"image","patient"\n"ct/a.nii.gz","M\xc3\xbcller"\n"b.nii.gz","\xc3\x98sterg\xc3\xa5rd"\n',
    "empty columns and rows of Excel": TEXT.replace("\n", ",,\n").encode() + b",,,\n,,,\n",
    "accents apart": TEXT.replace("ü", "u\u0308").encode(),
    "no last line break": TEXT.rstrip().encode(),
    "other columns": b"note,image,patient\nx,ct/a.nii.gz,M\xc3\xbcller\n,b.nii.gz,\xc3\x98sterg\xc3\xa5rd\n",
}


@pytest.mark.parametrize("saved", ENCODED)
def test_a_table_is_the_same_however_it_was_saved(tmp_path, saved):
    assert cells_of(tmp_path, ENCODED[saved]) == CELLS


BAD = {
    "a short row": ("image,patient\na,1\nb\n", "line 3: no patient"),
    "an empty cell": ("image,patient\n,1\n", "line 2: no image"),
    "a cell of spaces": ("image,patient\na,  \n", "line 2: no patient"),
    "a cell too many": ("image,patient\na,1\nb,Doe, Jane\n", "line 3: 3 cells under 2 columns"),
    "a cell of 4000 letters": (f"image,patient\n{'x' * 4000},1\n", "line 2: image has 4000 characters"),
    "a huge cell": (f"image,patient\na,1\nb,{'x' * 200_000}\n", "line 3: field larger than field limit"),
    "an open quote": ('image,patient\na,"1\nb,2\n', "line 2: unexpected end of data"),
    "a quote within": ('image,patient\na,"1"2\n', "line 2: ',' expected"),
    "a line break in a name": ('image,patient\na,"1\n2"\n', "line 2: patient holds a line break"),
    "no such column": ("image,who\na,1\n", "no column patient"),
    "a column twice": ("image,patient,Patient\na,1,2\n", "two columns patient"),
    "no rows": ("image,patient\n", "header but no rows"),
    "nothing": ("", "no column image, patient"),
    "a workbook": (b"PK\x03\x04 and so on", "workbook"),
    "zeros": (b"image,patient\na,1\nb\x00,2\n", "line 3: this is no text"),
    "damaged utf-8": (b"image,patient\nM\xc3\xbcller,1\nM\xc3\x3cller,2\n", "line 3: damaged"),
    "cut utf-16": (TEXT.encode("utf-16")[:-1], "damaged"),
    "control characters": (b"image,patient\na\x07,1\n", "line 2: this is no text"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_table_is_one_short_sentence_that_names_file_and_line(tmp_path, fault):
    content, sentence = BAD[fault]
    with pytest.raises(DataError, match=sentence) as raised:
        cells_of(tmp_path, content)
    message = str(raised.value)
    assert message.startswith("list.csv")
    assert len(message) <= 200
    assert "\n" not in message


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    text = 'sep=;\nimage;patient;note\na;1;"two\nlines"\n;;\nb;;\n'
    with pytest.raises(DataError, match="line 6: no patient"):
        cells_of(tmp_path, text)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"list\.csv: there is no such file"):
        read_table(tmp_path / "list.csv", required=COLUMNS)
    with pytest.raises(DataError, match="cannot be read as text"):
        read_table(tmp_path, required=COLUMNS)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("a;0,75", 0.75),
        ("a;-150", -150),
        ("a;−150,5", -150.5),
        ('a,"0,75"', 0.75),
        ("a,1.5e2", 150),
        ("a;,5", 0.5),
    ],
)
def test_a_number_may_have_a_decimal_comma(tmp_path, line, number):
    separator = ";" if ";" in line else ","
    (tmp_path / "t.csv").write_text(f"case{separator}score\n{line}\n", encoding="utf-8")
    (row,) = read_table(tmp_path / "t.csv", required=("case", "score"))
    assert row.number("score") == number


@pytest.mark.parametrize("text", ["nan", "inf", "1_000", "high", '"1.234,5"', "١٢", '"1,024"', "0x10", "5" * 400 + "x"])
def test_what_is_no_plain_number_is_refused_with_its_line(tmp_path, text):
    (tmp_path / "t.csv").write_text(f"case,score\na,{text}\n", encoding="utf-8")
    (row,) = read_table(tmp_path / "t.csv", required=("case", "score"))
    with pytest.raises(DataError, match=r"t\.csv, line 2: score is") as raised:
        row.number("score")
    assert len(str(raised.value)) <= 200


def test_an_empty_cell_is_no_whole_number_and_a_broken_one_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("case;first;last\na;;12,0\nb;1,5;\n")
    one, two = read_table(tmp_path / "t.csv", required=("case",))
    assert (one.whole_number("first"), one.whole_number("last"), one.whole_number("middle")) == (None, 12, None)
    with pytest.raises(DataError, match=r"line 3: first is '1,5', not a whole number"):
        two.whole_number("first")
