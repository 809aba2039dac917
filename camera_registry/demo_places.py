"""The demo district's places: names after Beijing Tongzhou, everything else drawn.

Rectangles are schematic: they tile a drawing of the district so that neighbours lie beside one
another, and are no survey. Area codes are numbered here in reading order; they are not the
official ones. Community names are plausible, not a register.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Rect = tuple[float, float, float, float]  # west, south, east, north; degrees, WGS-84

DISTRICT_CODE: Final = "110112"
DISTRICT_NAME: Final = "通州区(演示)"
DISTRICT_OUTLINE: Final = (
    (116.50, 39.70),
    (116.66, 39.62),
    (116.92, 39.62),
    (116.92, 39.88),
    (116.90, 40.03),
    (116.56, 40.00),
    (116.50, 39.80),
)


@dataclass(frozen=True, slots=True)
class Street:
    username: str  # its operator, in pinyin
    name: str
    rect: Rect
    weight: int  # its share of the cameras: the town centre has more
    communities: tuple[str, ...]
    roads: tuple[str, ...]


def _street(
    username: str, name: str, rect: Rect, weight: int, communities: str, roads: str
) -> Street:
    return Street(username, name, rect, weight, tuple(communities.split()), tuple(roads.split()))


STREETS: Final = (
    _street(
        "zhongcang", "中仓街道", (116.66, 39.90, 116.70, 39.93), 9,
        "中仓社区 上营社区 西营社区 新华园社区 西上园社区 白将军社区",
        "新华东街 车站路 赵登禹大街 故城东路 玉带河大街",
    ),
    _street(
        "xinhua", "新华街道", (116.62, 39.90, 116.66, 39.93), 9,
        "天桥湾社区 如意社区 贡院社区 盛业家园社区 司空社区",
        "新华大街 通胡大街 人民路 通惠北路 滨惠北一街",
    ),
    _street(
        "beiyuan", "北苑街道", (116.58, 39.90, 116.62, 39.93), 9,
        "新华西街社区 北苑桥社区 长桥园社区 天时名苑社区 果园西社区",
        "新华西街 北苑南路 通朝大街 西海子西街 翠屏西路",
    ),
    _street(
        "yuqiao", "玉桥街道", (116.64, 39.86, 116.70, 39.90), 8,
        "玉桥东里社区 玉桥南里社区 葛布店东里社区 运河东大街社区 乔庄北街社区",
        "玉桥西路 玉桥中路 运河西大街 梨园北街 乔庄北街",
    ),
    _street(
        "wenjing", "文景街道", (116.70, 39.86, 116.77, 39.94), 6,
        "文旅社区 滨河社区 景园社区 和鸣社区",
        "文旅大街 九棵树东路 颐瑞西路 曹园南大街",
    ),
    _street(
        "yongshun", "永顺镇", (116.58, 39.93, 116.70, 39.98), 8,
        "永顺西里社区 西马庄村 小潞邑村 杨庄社区 焦王庄村 龙旺庄社区",
        "永顺南街 通顺路 潞苑北大街 潞苑东路 京榆旧线",
    ),
    _street(
        "liyuan", "梨园镇", (116.58, 39.86, 116.64, 39.90), 8,
        "梨园东里社区 云景里社区 翠屏里社区 大方居社区 半壁店村 曹园社区",
        "梨园南街 云景东路 云景南大街 九棵树西路 群芳中一街",
    ),
    _street(
        "songzhuang", "宋庄镇", (116.70, 39.94, 116.88, 40.01), 6,
        "小堡村 宋庄村 徐辛庄村 任庄村 平家疃村 师姑庄村 富豪村",
        "宋庄路 小堡南街 徐尹路 京榆旧线 丛林路",
    ),
    _street(
        "huoxian", "漷县镇", (116.74, 39.72, 116.90, 39.79), 5,
        "漷县村 觅子店村 军屯村 马头村 侯黄庄村 草厂村",
        "漷兴一街 漷城西路 漷马路 觅西路",
    ),
    _street(
        "zhangjiawan", "张家湾镇", (116.66, 39.79, 116.78, 39.86), 6,
        "张家湾村 皇木厂村 里二泗村 枣林庄村 太玉园社区 土桥村",
        "张凤路 太玉园东路 光华路 张采路 北环路",
    ),
    _street(
        "xiji", "西集镇", (116.78, 39.79, 116.90, 39.86), 4,
        "西集村 沙古堆村 郎府村 肖林村 儒林村 吕家湾村",
        "国防路 西集大街 郎府路 觅西路",
    ),
    _street(
        "yongledian", "永乐店镇", (116.74, 39.64, 116.90, 39.72), 4,
        "永乐店村 小务村 应寺村 柴厂屯村 临沟屯村 半截河村",
        "永乐大街 永乐中路 漷小路 柴德路",
    ),
    _street(
        "lucheng", "潞城镇", (116.77, 39.86, 116.88, 39.94), 6,
        "古城村 大营村 甘棠村 兴各庄村 燕山营村 郝家府村",
        "潞阳大街 运河东大街 宋梁路 武兴路 通运东路",
    ),
    _street(
        "taihu", "台湖镇", (116.56, 39.79, 116.66, 39.86), 6,
        "台湖村 次渠村 田府村 胡家垡村 东石社区 定海园社区",
        "台湖大街 次渠南街 通马路 京台路 铺外路",
    ),
    _street(
        "majuqiao", "马驹桥镇", (116.52, 39.71, 116.66, 39.79), 6,
        "马驹桥村 大杜社村 柴务村 小周易村 新海社区 香雪兰溪社区 大葛庄村",
        "兴华大街 漷马路 融商四路 新海南里路 环景路",
    ),
    _street(
        "yujiawu", "于家务回族乡", (116.66, 39.68, 116.74, 39.79), 4,
        "于家务村 渠头村 枣林村 仇庄村 大耕垡村 果村",
        "张采路 于家务大街 渠神路 觅西路",
    ),
)  # fmt: skip

CROSSING_SIDES: Final = ("东侧", "南侧", "西侧", "北侧")
LOOKOUTS: Final = ("通信铁塔", "水塔", "写字楼顶", "信号塔", "居民楼顶")
SHELTERS: Final = ("人防工程主出入口", "人防地下室通道", "人防工程应急出口")
ALLEYS: Final = ("一巷", "二巷", "三巷", "南巷", "北巷", "东胡同", "西胡同")


def split(rect: Rect, parts: int) -> list[Rect]:
    """Cuts a rectangle into `parts` beside one another along its longer side."""
    west, south, east, north = rect
    if east - west >= north - south:
        step = (east - west) / parts
        return [(west + i * step, south, west + (i + 1) * step, north) for i in range(parts)]
    step = (north - south) / parts
    return [(west, south + i * step, east, south + (i + 1) * step) for i in range(parts)]


def outline(rect: Rect) -> tuple[tuple[float, float], ...]:
    """The four corners, rounded to a metre."""
    west, south, east, north = (round(degrees, 6) for degrees in rect)
    return ((west, south), (east, south), (east, north), (west, north))
