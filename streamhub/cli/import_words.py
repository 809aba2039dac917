"""What the command line says of an import, beside its findings, in the reader's language."""

from __future__ import annotations

from typing import Final

_WORDS: Final = {
    "counts": (
        "{rows} rows: {add} to add, {change} to change, {same} as they are, {refused} refused; "
        "{warnings} warnings.",
        "共 {rows} 行：新增 {add}，变更 {change}，不变 {same}，有错误 {refused}；警告 {warnings}。",
    ),
    "report": ("The workbook with its errors: {report}", "带标注的表格：{report}"),
    "refused": (
        "Nothing is changed yet. Correct these rows and import the file again; or, without "
        "them: streamhub camera apply-import {id} --without-refused",
        "尚未做任何改动。请改正这些行后重新导入；或不导入这些行："
        "streamhub camera apply-import {id} --without-refused",
    ),
    "to_apply": (
        "Nothing is changed yet. To apply it: streamhub camera apply-import {id}",
        "尚未做任何改动。应用：streamhub camera apply-import {id}",
    ),
    "dry_run": ("Nothing is changed.", "没有做任何改动。"),
}


def words(key: str, language: str, **values: object) -> str:
    """`language`: en or zh."""
    en, zh = _WORDS[key]
    return (zh if language == "zh" else en).format(**values)
