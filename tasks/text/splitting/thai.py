"""Thai: where a space or a line break ends a sentence.

Thai has no full stop. A space stands between clauses, around numbers and names, and between sentences alike: it ends a
sentence unless a word beside it needs the other side. Far from sure: a classifier trained on a treebank does little
better.
"""

from __future__ import annotations

import re

SPACE = re.compile(r"(?<=[\u0e01-\u0e5b\u201d\")])\s++(?=[\u0e01-\u0e5b\u201c\"(])")
LETTER = re.compile(r"[\u0e01-\u0e2e]")
_LEAST = 15
"""A sentence of fewer characters is rare, and most often a name or a list item."""
_NEEDS_MORE = (
    "ว่า", "ที่", "คือ", "เช่น", "ปี", "และ", "หรือ", "ถึง", "ของ", "กว่า", "วันที่", "แต่", "ซึ่ง", "โดย",
    "เป็น", "กับ", "จาก", "ใน", "เพื่อ", "ให้", "ได้แก่", "อาทิ", "มี", "พ.ศ.", "ค.ศ.", "น.", "ประมาณ", "ละ",
    "เพราะ", "จะ", "ต้อง", "ไม่", "ถ้า", "หาก", "เมื่อ", "คำว่า", "ชื่อ", "นาย", "นาง", "ดร.", "ราว", "ราคา",
    "จำนวน", "ทั้ง",
)  # fmt: skip
_NEEDS_LESS = (
    "และ", "หรือ", "ที่", "เพื่อ", "เป็น", "พ.ศ.", "ค.ศ.", "ล้าน", "ของ", "ซึ่ง", "ก็", "คือ", "เช่น", "ได้",
    "จะ", "ๆ", "ว่า", "กับ", "จน", "ให้", "ด้วย", "มี", "โดย", "จึง", "แห่ง", "กว่า", "บาท", "คน", "ปี", "วัน",
    "เดือน", "กิโลเมตร", "เมตร", "เปอร์เซ็นต์", "ไม่", "แล้ว",
)  # fmt: skip


def ends_at(text: str, begin: int, space: re.Match[str]) -> bool:
    """Return whether the sentence that began at `begin` ends at a space."""
    if "\n" in space[0]:
        return True
    far = space.start() - begin >= _LEAST
    return far and not (text.endswith(_NEEDS_MORE, begin, space.start()) or text.startswith(_NEEDS_LESS, space.end()))
