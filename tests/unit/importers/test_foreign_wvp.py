"""Cameras out of WVP's database and API, and out of GB/T 28181 catalogues."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.importers import foreign
from camera_registry.importers.fields import fields, tables
from camera_registry.importers.foreign.gb_item import manufacturer
from camera_registry.importers.rows import FileRefused

GATE, YARD, POLE = (f"3402000000132000000{n}" for n in (1, 2, 3))

# The columns that matter here, among others that don't, as the program's own tables have them.
TABLES_NOW = """\
-- MySQL dump 10.13
CREATE TABLE `wvp_device_channel` (
  `id` int NOT NULL AUTO_INCREMENT, `device_id` varchar(50), `name` varchar(255),
  `manufacturer` varchar(50), `civil_code` varchar(50), `address` varchar(50),
  `parent_id` varchar(50), `ip_address` varchar(50), `port` int, `password` varchar(255),
  `status` varchar(50),
  `longitude` double, `latitude` double, `ptz_type` int, `channel_type` int DEFAULT 0,
  `gb_device_id` varchar(50), `gb_name` varchar(255), `gb_longitude` double, `gb_latitude` double,
  `gb_ptz_type` int, `data_type` int NOT NULL, `data_device_id` int NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB;
CREATE TABLE `wvp_stream_proxy` (
  `id` int NOT NULL, `app` varchar(255), `stream` varchar(255), `src_url` varchar(255),
  `enable` bit(1), `name` varchar(255), PRIMARY KEY (`id`)
) ENGINE=InnoDB;
"""
ROWS_NOW = f"""\
INSERT INTO `wvp_user` VALUES (1,'admin','hunter2');
INSERT INTO `wvp_device_channel` VALUES
 (1,'{GATE}','IPC','HIKVISION','340200','东门口','34020000001180000001','192.0.2.41',5060,'hunter2',
  'ON',0,0,0,0,NULL,'东门球机',116.661234,39.901234,1,1,7),
 (2,'{YARD}','院内','Acme','CivilCode','Address','a/34020000002160000002','0.0.0.0',0,NULL,'OFF',
  116.5,39.9,5,0,NULL,NULL,NULL,NULL,NULL,1,7),
 (3,'34020000001340000001','AlarmIn','HIKVISION','340200',NULL,NULL,NULL,0,NULL,'ON',0,0,0,0,
  NULL,NULL,NULL,NULL,NULL,1,7),
 (4,'340200','城区',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'ON',NULL,NULL,NULL,1,
  NULL,NULL,NULL,NULL,NULL,1,7),
 (5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'ON',NULL,NULL,NULL,0,
  '{POLE}','路口立杆',116.7,39.8,3,3,21),
 (6,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'ON',NULL,NULL,NULL,0,
  '34020000001320000008','无人机',NULL,NULL,NULL,2,1),
 (7,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'ON',NULL,NULL,NULL,0,
  '34020000001320000009','丢失',NULL,NULL,NULL,3,99);
INSERT INTO `wvp_stream_proxy` VALUES
 (21,'live','pole','rtsp://ops:p%40ss@192.0.2.51/Streaming/Channels/101',b'1','pole'),
 (22,'live','lane','rtsp://ops:p%40ss@192.0.2.52/stream1','\\0',NULL),
 (23,'live','tv','rtmp://u:hunter2@192.0.2.53/live/tv',b'1','电视');
"""


def read(text: str, kind: str | None = None) -> foreign.ForeignConfig:
    return foreign.read(text.encode(), "export", kind)


def skipped(config: foreign.ForeignConfig) -> list[tuple[int, str, str]]:
    return [(f.row, f.code, f.severity) for f in config.skipped]


def test_a_dump_of_today_gives_channels_and_proxies_once_each() -> None:
    config = read(TABLES_NOW + ROWS_NOW)
    assert config.kind == "wvp-dump"
    gate, yard, pole, lane = config.cameras
    assert gate.values == {
        "code": GATE,
        "name": "东门球机",
        "address": "东门口",
        "camera_type": "1",
        "manufacturer": "1",
        "area": "340200",
        "parent_device": "34020000001180000001",
        "ipv4": "192.0.2.41",
        "access_port": "5060",
        "lon": "116.661234",
        "lat": "39.901234",
    }
    assert gate.unknown == {"status": "ON"}
    assert yard.values == {
        "code": YARD,
        "name": "院内",
        "parent_device": "34020000002160000002",
        "lon": "116.5",
        "lat": "39.9",
    }
    assert yard.unknown == {
        "ptztype": "5",
        "manufacturer": "Acme",
        "status": "OFF",
    }
    assert pole.values == {
        "code": POLE,
        "name": "路口立杆",
        "camera_type": "3",
        "lon": "116.7",
        "lat": "39.8",
        "enabled": "true",
        "main_url": "rtsp://192.0.2.51/Streaming/Channels/101",
        "username": "ops",
        "password": "p@ss",
    }
    assert lane.values == {
        "name": "live/lane",
        "enabled": "false",
        "main_url": "rtsp://192.0.2.52/stream1",
        "username": "ops",
        "password": "p@ss",
    }
    assert [row.number for row in config.cameras] == [1, 2, 5, 9]
    assert skipped(config) == [
        (3, "not_a_camera", "warning"),
        (4, "not_a_camera", "warning"),
        (6, "published", "warning"),
        (10, "not_rtsp", "error"),
        (7, "no_proxy", "error"),
    ]


def test_no_secret_of_a_dump_is_told_or_kept() -> None:
    config = read(TABLES_NOW + ROWS_NOW)
    assert "hunter2" not in repr(config)
    said = [(row.faults, row.columns, row.unknown) for row in config.cameras]
    assert "p@ss" not in repr((config.skipped, said))


def test_the_dump_may_be_postgresqls_with_its_columns_in_any_order() -> None:
    config = read(
        "-- PostgreSQL database dump\n"
        "COPY public.wvp_stream_proxy (src_url, id, name, enable) FROM stdin;\n"
        "rtsp://192.0.2.51/1\t21\t\\N\tt\n\\.\n"
        "COPY public.wvp_device_channel (data_type, data_device_id, gb_device_id, name) "
        "FROM stdin;\n"
        f"3\t21\t{POLE}\t路口\n1\t4\t{GATE}\t东门\n\\.\n"
    )
    assert [(row.number, row.values) for row in config.cameras] == [
        (
            2,
            {
                "code": POLE,
                "name": "路口",
                "enabled": "true",
                "main_url": "rtsp://192.0.2.51/1",
            },
        ),
        (3, {"code": GATE, "name": "东门"}),
    ]


def test_an_older_table_has_the_channels_code_beside_its_devices() -> None:
    config = read(
        "INSERT INTO `device_channel` (`channelId`, `name`, `manufacture`, `deviceId`, `PTZType`,"
        f" `customName`) VALUES ('{GATE}', 'IPC', 'Dahua', '34020000001180000005', 2, '大门');"
    )
    assert [row.values for row in config.cameras] == [
        {
            "code": GATE,
            "name": "大门",
            "camera_type": "2",
            "manufacturer": "2",
            "parent_device": "34020000001180000005",
        }
    ]


def test_an_answer_of_the_api_is_read() -> None:
    answer = {
        "code": 0,
        "msg": "成功",
        "data": {
            "total": 2,
            "list": [
                {"id": 1, "deviceId": GATE, "name": "东门", "longitude": 116.5, "latitude": 39.9},
                {
                    "id": 2,
                    "gbDeviceId": YARD,
                    "gbName": "院内",
                    "gbPtzType": 4,
                    "password": "hunter2",
                },
            ],
        },
    }
    config = read(json.dumps(answer))
    assert config.kind == "wvp-json"
    assert [row.values for row in config.cameras] == [
        {"code": GATE, "name": "东门", "lon": "116.5", "lat": "39.9"},
        {"code": YARD, "name": "院内", "camera_type": "4"},
    ]
    assert "hunter2" not in repr(config)


def test_a_device_of_the_api_is_none_of_its_channels() -> None:
    device = {"deviceId": GATE, "name": "录像机", "hostAddress": "192.0.2.1:5060"}
    config = read(json.dumps({"data": {"list": [device]}}))
    assert (config.cameras, skipped(config)) == ((), [(1, "not_a_camera", "warning")])


def test_proxies_of_the_api_carry_their_own_code() -> None:
    proxy = {"app": "live", "stream": "a", "srcUrl": "rtsp://u:p@192.0.2.5/1", "enable": True}
    config = read(json.dumps([proxy, proxy | {"gbDeviceId": POLE, "gbName": "杆"}]))
    assert [row.values for row in config.cameras] == [
        {
            "name": "live/a",
            "enabled": "true",
            "main_url": "rtsp://192.0.2.5/1",
            "username": "u",
            "password": "p",
        },
        {
            "code": POLE,
            "name": "杆",
            "enabled": "true",
            "main_url": "rtsp://192.0.2.5/1",
            "username": "u",
            "password": "p",
        },
    ]


def message(*items: str, encoding: str = "GB2312") -> str:
    return (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<Response>\n<CmdType>Catalog</CmdType>'
        f"<SN>17</SN><DeviceID>34020000002000000001</DeviceID><SumNum>9</SumNum>\n"
        f'<DeviceList Num="{len(items)}">{"".join(items)}</DeviceList>\n</Response>\n'
    )


GATE_ITEM = f"""<Item><DeviceID>{GATE}</DeviceID><Name>东门㸃</Name>
<Manufacturer>Uniview</Manufacturer>
<Model>IPC-B2</Model><CivilCode>34020001</CivilCode><Address>一号路</Address><Parental>0</Parental>
<ParentID>34020000002150000001/34020000001180000001</ParentID><Secrecy>0</Secrecy>
<IPAddress>2001:db8::5</IPAddress><Port>0</Port><Password>hunter2</Password><Status>ON</Status>
<Longitude>116.6</Longitude><Latitude>39.9</Latitude>
<Info><PTZType>1</PTZType><PositionType>10</PositionType><RoomType>1</RoomType>
<DirectionType>7</DirectionType><SupplyLightType>2</SupplyLightType><Resolution>6/5</Resolution>
<PointType>1</PointType><MAC>00-11-22-33-44-55</MAC><RecordSaveDays>30</RecordSaveDays>
<InstallTime>2023-05-06T00:00:00</InstallTime><ManagementUnit>街道办</ManagementUnit></Info></Item>"""


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-16"])
def test_a_catalogue_of_several_messages_is_read(encoding: str) -> None:
    text = (
        message("<Item><DeviceID>340200</DeviceID><Name>市区</Name></Item>", GATE_ITEM)
        + message(GATE_ITEM, f"<Item><DeviceID>{YARD}</DeviceID><Name>院内</Name></Item>")
        + message(f"<Item><DeviceID>{POLE}</DeviceID><Event>OFF</Event></Item>")
    )
    config = foreign.read(text.encode(encoding), "catalog.xml")
    assert config.kind == "gb28181-catalogue"
    gate, yard = config.cameras
    assert gate.number == 2
    assert gate.values == {
        "code": GATE,
        "name": "东门㸃",
        "model": "IPC-B2",
        "address": "一号路",
        "management_unit": "街道办",
        "record_days": "30",
        "mac": "00-11-22-33-44-55",
        "camera_type": "1",
        "position_type": "10",
        "room_type": "1",
        "direction": "7",
        "supply_light": "2",
        "point_type": "1",
        "parent_device": "34020000001180000001",
        "lon": "116.6",
        "lat": "39.9",
        "ipv6": "2001:db8::5",
        "manufacturer": "9",
        "installed_on": "2023-05-06",
    }
    assert gate.unknown == {"civilcode": "34020001", "status": "ON", "resolution": "6/5"}
    assert set(gate.values) <= set(fields())
    assert yard.values == {"code": YARD, "name": "院内"}
    assert skipped(config) == [
        (1, "not_a_camera", "warning"),
        (3, "repeated", "warning"),
        (5, "notice", "warning"),
    ]
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("<a", None, "not_xml"),
        ("<Response><Item></Response>", None, "not_xml"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', None, "xml_dtd"),
        ("<a>&nothing;</a>", None, "not_xml"),
        ("<a>" * 5000, None, "not_xml"),
        ("[{", "wvp-json", "not_json"),
        ("[" * 100_000, "wvp-json", "not_json"),
        ('[{"deviceId": "' + "1" * 9 + '"', None, "not_json"),
        ("INSERT INTO wvp_device_channel VALUES (1);", None, "columns_unknown"),
        ("INSERT INTO other VALUES (1);", "wvp-dump", "nothing_found"),
        ('{"code": 401, "msg": "sign in"}', "wvp-json", "nothing_found"),
        ("<html><body>sign in</body></html>", None, "nothing_found"),
    ],
)
def test_a_broken_file_is_refused(text: str, kind: str | None, code: str) -> None:
    with pytest.raises(FileRefused) as caught:
        read(text, kind)
    assert caught.value.code == code
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Hikvision", "1"),
        ("HIKVISION", "1"),
        ("海康威视数字技术", "1"),
        ("DAHUA", "2"),
        ("大华", "2"),
        ("UNIVIEW", "9"),
        ("UNV", "9"),
        ("Other", None),
        ("15", None),
        ("Acme", None),
        ("", None),
    ],
)
def test_a_makers_name_is_a_code_only_where_that_is_sure(text: str, code: str | None) -> None:
    assert manufacturer(text) == code


KEYS = (
    "deviceId gbDeviceId channelId name gbName longitude gbLatitude latitude ptzType port "
    "ipAddress manufacturer parentId civilCode dataType dataDeviceId srcUrl id enable channelType "
    "data list password installTime status"
)
VALUES = st.sampled_from(
    [
        GATE,
        POLE,
        "1",
        "3",
        "0",
        "",
        "0.0",
        "1/2",
        "192.0.2.1",
        "999999999999",
        "rtsp://u:SeCrEt@h/1",
    ]
) | (st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8))
CONTENT: st.SearchStrategy[Any] = st.recursive(
    st.dictionaries(st.sampled_from(KEYS.split()), VALUES, max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(CONTENT)
def test_any_json_gives_rows_of_our_fields(content: object) -> None:
    try:
        config = read(json.dumps(content), "wvp-json")
    except FileRefused as refused:
        assert refused.code == "nothing_found"  # noqa: PT017
        return
    for row in config.cameras:
        assert set(row.values) <= set(fields())
        assert set(row.values) == set(row.columns)
        assert "SeCrEt" not in row.values.get("main_url", "")
        for key, table in (("camera_type", "camera_type"), ("manufacturer", "manufacturer")):
            assert row.values.get(key, "1") in tables()[table]
    assert "SeCrEt" not in repr(config.skipped)


TAGS = st.sampled_from(["DeviceID", "Name", "Info", "PTZType", "Item", "Event", "Longitude", "x:y"])


@given(st.lists(st.tuples(TAGS, st.sampled_from([GATE, "1", "<", "&", "]]>", ""])), max_size=8))
def test_any_markup_is_a_catalogue_or_a_refusal(parts: list[tuple[str, str]]) -> None:
    items = "".join(f"<{tag}>{text}</{tag}>" for tag, text in parts)
    try:
        config = read(message(f"<Item>{items}</Item>"), "gb28181-catalogue")
    except FileRefused as refused:
        assert refused.code == "not_xml"  # noqa: PT017
        return
    assert all(len(row.values["code"]) == 20 for row in config.cameras)


@given(st.text(), st.sampled_from(["wvp-dump", "wvp-json", "gb28181-catalogue"]))
def test_any_text_is_a_config_or_a_refusal(text: str, kind: str) -> None:
    try:
        config = read(text.encode("utf-8", "replace").decode(), kind)
    except FileRefused:
        return
    assert config.kind == kind
