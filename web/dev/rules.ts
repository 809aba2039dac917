/** Rules of assignment in the mocked service, kept in the order they are asked in; and purposes. */
import type { Purpose } from '../src/api'
import type { Rule, RuleDraft } from '../src/manage/rules'
import { areas } from './data.ts'
import { ok, refuse, type Answer } from './manage.ts'

let rules: readonly Rule[] = []
let made = 0

export function rulesAnswer(method: string, id: string | undefined, body: string): Answer {
  if (method === 'GET') return ok({ items: rules })
  if (method === 'DELETE') {
    if (!rules.some((each) => each.id === id)) return refuse(404, 'not_found', `There is no rule '${id ?? ''}'.`)
    rules = rules.filter((each) => each.id !== id)
    return ok(null, 204)
  }
  const draft = JSON.parse(body) as RuleDraft
  if (!areas.some((each) => each.id === draft.area_id)) return refuse(422, 'unknown_area', 'There is no such area; choose one that exists.', 'area_id')
  if ((draft.field !== null) !== (draft.kind === 'fact')) return refuse(422, 'rule_field', 'A rule by a fact names its field, and no other does.', 'field')
  if ((draft.text === null) !== (draft.kind === 'polygon')) return refuse(422, 'rule_text', 'A rule by boundaries has no text.', 'text')
  const rule = { ...draft, id: `ru_${(made += 1)}` }
  rules = [...rules, rule].sort((a, b) => a.priority - b.priority)
  return ok(rule, 201)
}

let purposes: readonly Purpose[] = [{ code: 'duty', zh: '日常值守巡查', en: 'Routine duty', needs_note: false }]

export function purposesAnswer(method: string, code: string | undefined, body: string): Answer {
  if (code === undefined) return ok({ items: purposes, next_cursor: null, total: purposes.length })
  const others = purposes.filter((each) => each.code !== code)
  if (method === 'DELETE') {
    if (others.length === purposes.length) return refuse(404, 'not_found', `There is no purpose '${code}'.`)
    purposes = others
    return ok(null, 204)
  }
  const put = { ...(JSON.parse(body) as Omit<Purpose, 'code'>), code }
  purposes = [...others, put].sort((a, b) => a.code.localeCompare(b.code))
  return ok(put)
}
