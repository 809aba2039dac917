"""People and rights in the page: an administrator grants, a person sees the camera, the grant is
revoked and it is gone; accounts are added, disabled and put into roles; who manages one township
is told what they may do instead."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Browser, Page, expect

from support.district import Service
from support.page import Wall
from support.people_page import SCREEN, a_person, here, opened, people_of

_MIDDLE = """(part) => {
  const {left, right} = part.getBoundingClientRect();
  return (left + right) / 2 / document.documentElement.clientWidth;
}"""


async def is_seen(page: Page, camera: dict[str, Any], *, seen: bool) -> None:
    await page.get_by_test_id("search").fill("")
    await page.get_by_test_id("search").fill(camera["code"])
    there = page.get_by_test_id(f"channel-{camera['id']}")
    await (there if seen else page.get_by_test_id("channels-empty")).wait_for()


async def test_what_is_granted_is_seen_until_it_is_revoked(
    one_service: Service, browser: Browser
) -> None:
    async with one_service.client("admin") as admin:
        await a_person(admin, "gao-granted")
        _, camera = await here(admin)
    watching = await browser.new_page(locale="en-US")
    await Wall(watching, one_service).sign_in("gao-granted")
    await is_seen(watching, camera, seen=False)

    page = await people_of(browser, one_service, "admin", "en-US")
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await opened(page, "gao-granted")
    await page.get_by_test_id("grants-none").wait_for()
    await page.get_by_test_id("grant-new").click()
    await expect(page.get_by_test_id("grant-lacks")).to_have_text("Choose an area.")
    await page.set_viewport_size({"width": 1024, "height": 768})
    form, desk = [
        await page.locator(each).bounding_box() for each in (".grant-form", ".grant-desk .jobs")
    ]
    assert form is not None
    assert desk is not None
    assert form["y"] + form["height"] <= desk["y"], "the form is above the grants"
    assert desk["width"] > 600
    await page.set_viewport_size(SCREEN)
    await page.get_by_test_id("grant-target-camera").click()
    await page.get_by_test_id("grant-camera").fill(camera["code"])
    await page.get_by_test_id("grant-window-add").click()
    for day in ("sat", "sun"):
        await page.get_by_test_id(f"grant-window-0-{day}").check()
    for end in ("start", "end"):
        await page.get_by_test_id(f"grant-window-0-{end}").fill("00:00")
    await page.get_by_test_id("grant-until").fill("2020-01-01T00:00")
    await page.get_by_test_id("grant-send").click()
    form = page.get_by_test_id("grant-form")
    await expect(form).to_contain_text("The grant would end before it begins.")
    await page.get_by_test_id("grant-until").fill("")
    await page.get_by_test_id("grant-send").click()
    await page.get_by_test_id("grant-sent").wait_for()
    row = page.locator('tr[data-testid^="grant-gr_"]')
    await expect(row).to_contain_text(camera["name"])
    await expect(row).to_contain_text("Every day 00:00 to 24:00")
    await is_seen(watching, camera, seen=True)

    # Why, by the link from the card; and who can.
    await page.get_by_test_id("person-why").click()
    await page.get_by_test_id("why-camera").fill(camera["code"])
    await page.get_by_test_id("why-ask").click()
    answer = page.get_by_test_id("why-answer")
    await expect(answer).to_have_attribute("data-allowed", "true")
    await expect(answer).to_contain_text("gao-granted may watch live from")
    await expect(page.get_by_test_id("why-line")).to_contain_text("[1] allows")
    said = page.get_by_test_id("why-grant")
    await expect(said).to_contain_text(f"watch live · {camera['name']}")
    await expect(said).to_contain_text("Every day 00:00 to 24:00")
    await expect(page.get_by_test_id("why-holder")).to_have_text("Given to the account itself")
    await page.get_by_test_id("why-who").click()
    await expect(page.get_by_test_id("who-gao-granted")).to_contain_text("watch live")

    await page.go_back()
    await row.get_by_role("button", name="Revoke").click()
    await row.get_by_role("button", name="Revoke").click()
    await page.get_by_test_id("grants-none").wait_for()
    await is_seen(watching, camera, seen=False)
    assert broken == []


async def test_a_person_is_added_put_into_a_role_and_disabled(
    one_service: Service, browser: Browser
) -> None:
    async with one_service.client("admin") as admin:
        role = (
            await admin.post("/api/v1/roles", json={"name": "night", "display_name": "夜班"})
        ).json()
        area, _ = await here(admin)
        grant = {"role_id": role["id"], "actions": ["list", "live"], "area_id": area["id"]}
        (await admin.post("/api/v1/grants", json=grant)).raise_for_status()
    page = await people_of(browser, one_service, "admin", "zh-CN")
    await page.get_by_test_id("people-new").click()
    # What is wrong is marked; the rest is not.
    await page.get_by_test_id("person-name").fill("王新")
    await page.get_by_test_id("person-username").fill("Li Wei!")
    await page.get_by_test_id("person-password").fill("123")
    await expect(page.get_by_test_id("person-username-hint")).to_have_class("hint bad")
    await page.get_by_test_id("person-add").click()
    await expect(page.get_by_test_id("person-password-hint")).to_have_class("hint bad")
    await expect(page.get_by_test_id("person-name-hint")).to_be_empty()
    await page.get_by_test_id("person-username").fill("admin")
    await page.get_by_test_id("person-password").fill("12345678")
    await page.get_by_test_id("person-add").click()
    await expect(page.get_by_test_id("person-password-hint")).to_contain_text("密码")
    await expect(page.get_by_test_id("person-password-hint")).to_have_class("hint bad")
    await page.get_by_test_id("person-password").fill("a-first-w0rd")
    await page.get_by_test_id("person-add").click()
    await expect(page.get_by_test_id("person-username-hint")).to_have_class("hint bad")
    await page.get_by_test_id("person-username").fill("wang-xin")
    await page.get_by_test_id("person-add").click()
    card = page.get_by_test_id("person-card")
    await expect(card).to_have_attribute("data-username", "wang-xin")
    await expect(page.get_by_test_id("account-wang-xin")).to_contain_text("王新")

    await page.get_by_test_id("role-choose").select_option(role["id"])
    await page.get_by_test_id("role-join").click()
    await expect(page.get_by_test_id("grant-origin")).to_have_text("角色 night")
    await expect(page.get_by_test_id("account-wang-xin")).to_contain_text("night")
    await page.get_by_test_id("role-leave-night").click()
    await page.get_by_test_id("role-leave-night-sure").click()
    await page.get_by_test_id("grants-none").wait_for()

    await page.get_by_test_id("person-disable").click()
    await page.get_by_test_id("person-disable-sure").click()
    await page.get_by_test_id("person-disabled").wait_for()
    await expect(page.get_by_test_id("account-wang-xin")).to_contain_text("已停用")
    await page.get_by_test_id("person-enable").click()
    await expect(page.get_by_test_id("person-disabled")).to_have_count(0)
    # Who is new is led to a password of their own, and nowhere else.
    new = await browser.new_page()
    await new.goto(one_service.url)
    await new.get_by_test_id("sign-in-username").fill("wang-xin")
    await new.get_by_test_id("sign-in-password").fill("a-first-w0rd")
    await new.get_by_test_id("sign-in-submit").click()
    await expect(new.get_by_test_id("password-change")).to_contain_text("8 characters")
    for leads_away in ("nav-wall", "nav-log", "wall-1"):
        await expect(new.get_by_test_id(leads_away)).to_have_count(0)
    middle = await new.get_by_test_id("due").evaluate(_MIDDLE)
    assert abs(middle - 0.5) < 0.01
    # Nobody shuts out oneself by a click.
    await opened(page, "admin")
    await expect(page.get_by_test_id("person-disable")).to_have_count(0)


async def test_who_manages_one_township_is_told_what_they_may_do_instead(
    one_service: Service, browser: Browser
) -> None:
    async with one_service.client("admin") as admin:
        area, camera = await here(admin)
        manages = {
            "subject_id": await a_person(admin, "township"),
            "actions": ["list", "live", "manage"],
            "area_id": area["id"],
        }
        (await admin.post("/api/v1/grants", json=manages)).raise_for_status()
        await a_person(admin, "newcomer")
    page = await people_of(browser, one_service, "township", "zh-CN")
    await expect(page.get_by_test_id("people-not-yours")).to_contain_text("由全区的管理者管理")
    await expect(page.get_by_test_id("people-list")).to_have_count(0)
    await page.get_by_test_id("place-area").fill(area["code"])
    rows = page.locator('tr[data-testid^="grant-gr_"]')
    mine = rows.filter(has_text="township")
    await expect(mine).to_have_count(1)
    others = await rows.count()

    await page.get_by_test_id("grant-new").click()
    await page.get_by_test_id("grant-account").fill("nobody-here")
    await page.get_by_test_id("grant-send").click()
    await expect(page.get_by_test_id("grant-form")).to_contain_text("没有这个账号")
    # Who has nothing here yet, and is in no list that they see.
    await page.get_by_test_id("grant-account").fill("newcomer")
    await page.get_by_test_id("grant-action-ptz").check()
    await page.get_by_test_id("grant-send").click()
    # Steering is not theirs to pass on.
    await expect(page.get_by_test_id("grant-error")).to_contain_text("没有")
    await page.get_by_test_id("grant-action-ptz").uncheck()
    await page.get_by_test_id("grant-send").click()
    await page.get_by_test_id("grant-sent").wait_for()
    await expect(rows).to_have_count(others + 1)
    newest = rows.first
    await expect(newest).to_contain_text("newcomer")
    await newest.get_by_role("button", name="撤销").click()
    await newest.get_by_role("button", name="撤销").click()
    await expect(rows).to_have_count(others)

    # Why, of a camera of theirs, by the link from its card.
    await page.goto(f"{one_service.url}/#cameras/{camera['id']}")
    await page.get_by_test_id("card-who").click()
    await expect(page.get_by_test_id("who-township")).to_contain_text("管理")
    await page.get_by_test_id("why-person").fill("nobody-here")
    await page.get_by_test_id("why-ask").click()
    await expect(page.get_by_test_id("why-person-wrong")).to_contain_text("没有这个账号")
