"""What the products of the ISRC register are called, and what each of them tells.

Source: the names in the register's own files, translated; the sheets of its workbook of crop calendars.
"""

from __future__ import annotations

from persiantools import characters

CROPS = ("canola", "cotton", "lentils", "maize", "onion", "pea", "sugar_beet", "tomato")
OTHER = "other"
FOLDERS = {crop: crop for crop in (*CROPS, OTHER)} | {"sugerbeet": "sugar_beet", "sugarbeet": "sugar_beet"}
# Product -> code, variant, product in English; where a variant is none, the product is the code or the name.
PRODUCTS = {
    "کلزا": ("canola", "", "canola"),
    "کلزا آبی": ("canola", "irrigated", "canola"),
    "کلزا دیم": ("canola", "rainfed", "canola"),
    "کلزا بذری": ("canola", "seed", "canola"),
    "پنبه": ("cotton", "", "cotton"),
    "عدس": ("lentils", "", "lentils"),
    "سایر_عدس": ("lentils", "", "lentils"),
    "ذرت": ("maize", "", "maize"),
    "mize": ("maize", "", "maize"),
    "پیاز": ("onion", "", "onion"),
    "نخود": ("pea", "", "pea"),
    "چغندرقند": ("sugar_beet", "", "sugar_beet"),
    "چغندر قند بهاره": ("sugar_beet", "spring", "sugar_beet"),
    "چغندر قند پاییزه": ("sugar_beet", "autumn", "sugar_beet"),
    "sugerbeet": ("sugar_beet", "", "sugar_beet"),
    "sugarbeet": ("sugar_beet", "", "sugar_beet"),
    "صیفی جات_گوجه فرنگی": ("tomato", "", "tomato"),
    "آیش": (OTHER, "", "fallow"),
    "شخم": (OTHER, "", "ploughed"),
    "بایر": (OTHER, "", "barren"),
    "مرتع": (OTHER, "", "pasture"),
    "جنگل": (OTHER, "", "forest"),
    "باغ": (OTHER, "", "orchard"),
    "باغ_گل محمدی": (OTHER, "", "rose"),
    "یونجه": (OTHER, "", "alfalfa"),
    "گندم آبی": (OTHER, "irrigated", "wheat"),
    "گندم دیم": (OTHER, "rainfed", "wheat"),
    "جو آبی": (OTHER, "irrigated", "barley"),
    "جو دیم": (OTHER, "rainfed", "barley"),
    "سیر": (OTHER, "", "garlic"),
    "سبزیجات": (OTHER, "", "vegetables"),
    "سبزیجات_جعفری": (OTHER, "", "parsley"),
    "سبزیجات_گشنیز": (OTHER, "", "coriander"),
    "صیفی جات": (OTHER, "", "summer_vegetables"),
    "صیفی جات_سیب زمینی": (OTHER, "", "potato"),
    "صیفی جات_لوبیا سبز": (OTHER, "", "green_beans"),
    "سایر": (OTHER, "", "not_told"),
} | {crop: (crop, "", crop) for crop in (*CROPS, OTHER)}
# Two names written into one: "summer vegetables" straight before another product.
JOINED = "صیفی جات"
# Products among which a crop may hide: what stands there is not known to be another crop. A ploughed field may be
# sown to any crop after the visit.
MAY_HOLD = {
    "summer_vegetables": ("onion", "tomato"),
    "vegetables": ("onion", "tomato"),
    "ploughed": CROPS,
    "not_told": CROPS,
    OTHER: CROPS,
}
# Sheet of the workbook -> crop and variant. Fodder beet is no sugar beet, and no parcel carries it.
SHEETS = {
    "Canola": ("canola", ""),
    "Cotton": ("cotton", ""),
    "Lentils_Irrigated": ("lentils", "irrigated"),
    "Lentils_Autumn": ("lentils", "autumn"),
    "Maize": ("maize", ""),
    "Onion_Spring": ("onion", "spring"),
    "Onion_Summer": ("onion", "summer"),
    "Onion_Autumn": ("onion", "autumn"),
    "Onion_Winter": ("onion", "winter"),
    "Pea_Irrigated": ("pea", "irrigated"),
    "Pea_Autumn": ("pea", "autumn"),
    "SugarBeet": ("sugar_beet", ""),
    "SugarBeet_Fodder": ("fodder_beet", ""),
    "SugarBeet_Spring": ("sugar_beet", "spring"),
    "SugarBeet_Autumn": ("sugar_beet", "autumn"),
    "Tomato_Summer": ("tomato", "summer"),
    "Tomato_Winter": ("tomato", "winter"),
}


def folded(name: str) -> str:
    """A product's name as :data:`PRODUCTS` writes it: Persian letters, no blanks or commas around it, no capitals."""
    return characters.ar_to_fa(name).strip(" ،,\u200c\u200f\ufeff").casefold()


def product_of(name: str) -> tuple[str | None, str, str]:
    """Read the name of a product.

    Args:
        name: Persian or English, as a file writes it.

    Returns:
        Code, variant and product in English. A name that joins two products has no code where one of the two is a
        crop of its own. A name that is not known is its own code and product: mapping to a legend names it then.
    """
    text = folded(name)
    if text in PRODUCTS:
        return PRODUCTS[text]
    second = text.removeprefix(JOINED)
    if second != text and second in PRODUCTS:
        code, _, product = PRODUCTS[second]
        return (OTHER if code == OTHER else None), "", f"summer_vegetables_or_{product}"
    return name.strip(), "", name.strip()


def may_hold(product: str, crop: str) -> bool:
    """True where a parcel of this product, coded ``other``, may still carry the crop."""
    return crop in MAY_HOLD.get(product.split("_or_")[0], ())
