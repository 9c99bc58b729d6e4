"""Shapes of text: patterns for the parser and the schema, words for whoever wrote something else."""

from __future__ import annotations

# Names become folder names and Snakemake wildcards.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
SHEET_CROP = r"^[a-z0-9_]+(/[a-z0-9_]+)?$"
SHA256 = "^[0-9a-f]{64}$"
ASSET = "^[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.-]+)+$"
ENCODING = "^[A-Za-z0-9_-]+$"
BASELINE = r"^\d\d\.\d\d$"
# Days that some year has: 02-29 is one.
DAY_OF_YEAR = r"^((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|[12]\d))$"

IN_WORDS = {
    NAME: "text of letters, digits, _ and -, such as 'beauce_2023'",
    SHEET_CROP: "a crop of the crop calendar in small letters, digits and _, such as 'wheat' or 'onion/winter'",
    SHA256: "64 hexadecimal digits, 0 to 9 and a to f",
    ASSET: "the id of an asset, such as 'JRC/D5/EUCROPMAP/V1/2018'",
    ENCODING: "the name of an encoding, such as 'CP1252'",
    BASELINE: "a baseline such as '02.07'",
    DAY_OF_YEAR: "MM-DD, a day of the calendar, such as '05-31'",
}
