/** Accounts, roles and grants in the mocked service. Whether somebody may is guessed: it is for the look of it. */
import { ACTIONS } from '../src/manage/grants'
import type { Able, Account, AccountDraft, Action, Explanation, Grant, GrantDraft, Role } from '../src/manage/people'
import { areas, channels, isWithin } from './data.ts'
import { AT, ok, refuse, type Answer } from './manage.ts'

const roles: readonly Role[] = [{ id: 'ro_1', name: 'night', display_name: '夜班', members: 0 }, { id: 'ro_2', name: 'command', display_name: '指挥中心', members: 0 }]
const members = new Map<string, Set<string>>([['ro_1', new Set(['su_yongshun'])], ['ro_2', new Set()]])

export let accounts: readonly Account[] = ['admin', 'grid-service', 'yongshun', ...Array.from({ length: 60 }, (_, n) => `zone${String(n).padStart(2, '0')}`)].map((username) => ({
  id: `su_${username}`, username, display_name: username, kind: username === 'grid-service' ? 'service' : 'person', enabled: true,
  home_area_id: areas[1]?.id ?? null, has_second_factor: false, must_change_password: false, second_factor_required: false, roles: [],
}))

let grants: readonly Grant[] = [
  made({ role_id: 'ro_1', actions: ['list', 'live', 'ptz'], area_id: areas[1]?.id ?? null, windows: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], start: '22:00', end: '06:00' }] }, 1),
  made({ subject_id: 'su_yongshun', actions: ['list', 'live', 'snapshot'], area_id: areas[1]?.id ?? null }, 2),
]

function made(draft: GrantDraft, number: number): Grant {
  const channel = channels.find((each) => each.id === draft.channel_id)
  return {
    id: `gr_${number}`, subject_id: draft.subject_id ?? null, subject_name: draft.subject_id?.slice(3) ?? null, role_id: draft.role_id ?? null, role_name: roles.find((each) => each.id === draft.role_id)?.name ?? null,
    actions: draft.actions, area_id: draft.area_id ?? null, area_name: areas.find((each) => each.id === draft.area_id)?.name ?? null, channel_id: draft.channel_id ?? null, channel_name: channel?.name ?? null,
    valid_from: draft.valid_from ?? AT, valid_until: draft.valid_until ?? null, created_at: AT, revoked_at: null, effect: draft.effect ?? 'allow', conditions: draft.conditions ?? [],
    windows: draft.windows ?? [], purpose_required: draft.purpose_required ?? false, lent_by: null,
  }
}

/** Null for what is not its own. */
export function peopleAnswer(method: string, url: URL, body: string): Answer | null {
  const [, , , noun, id, part, other] = url.pathname.split('/')
  if (noun === 'subjects') return subjectsAnswer(method, id, url.searchParams, body)
  if (noun === 'roles') return rolesAnswer(method, id, part, other)
  if (noun === 'grants') return grantsAnswer(method, id, url.searchParams, body)
  if (noun === 'channels' && part === 'explain' && id !== undefined) return explain(id, url.searchParams)
  if (noun === 'channels' && part === 'who-can' && id !== undefined) return whoCan(id)
  return null
}

function paged(found: readonly unknown[], query: URLSearchParams): Answer {
  const start = Number(query.get('cursor') ?? 0)
  const end = start + Number(query.get('limit') ?? 50)
  return ok({ items: found.slice(start, end), next_cursor: end < found.length ? String(end) : null, total: found.length })
}

function shown(account: Account): Account {
  return { ...account, roles: roles.filter((role) => members.get(role.id)?.has(account.id)) }
}

function subjectsAnswer(method: string, id: string | undefined, query: URLSearchParams, body: string): Answer {
  const q = query.get('q') ?? ''
  if (id === undefined && method === 'GET') return paged(accounts.filter((each) => each.username.includes(q)).map(shown), query)
  if (id === undefined) {
    const draft = JSON.parse(body) as AccountDraft
    if (accounts.some((each) => each.username === draft.username)) return refuse(409, 'username_taken', `The username ${draft.username} is taken already.`, 'username')
    if (draft.password === '12345678') return refuse(422, 'password_too_weak', 'This password is among the first that are tried.', 'password')
    const account: Account = { ...draft, id: `su_${draft.username}`, kind: 'person', enabled: true, has_second_factor: false, must_change_password: true, second_factor_required: false, roles: [] }
    accounts = [...accounts, account]
    return ok(account, 201)
  }
  const account = accounts.find((each) => each.id === id)
  if (account === undefined) return refuse(404, 'not_found', `There is no subject '${id}'.`)
  if (method !== 'PATCH') return ok(shown(account))
  const changed = { ...account, ...(JSON.parse(body) as { enabled: boolean }) }
  accounts = accounts.map((each) => (each.id === id ? changed : each))
  return ok(shown(changed))
}

function rolesAnswer(method: string, id: string | undefined, part: string | undefined, subjectId: string | undefined): Answer {
  if (id === undefined) return ok({ items: roles.map((role) => ({ ...role, members: members.get(role.id)?.size ?? 0 })), next_cursor: null, total: roles.length })
  const of = members.get(id)
  if (of === undefined || part !== 'members' || subjectId === undefined) return refuse(404, 'not_found', `There is no role '${id}'.`)
  if (method === 'PUT') of.add(subjectId)
  else of.delete(subjectId)
  return ok(null, 204)
}

function grantsAnswer(method: string, id: string | undefined, query: URLSearchParams, body: string): Answer {
  if (method === 'DELETE') {
    grants = grants.filter((each) => each.id !== id)
    return ok(null, 204)
  }
  if (method === 'POST') {
    const draft = JSON.parse(body) as GrantDraft
    if (draft.valid_until !== undefined && draft.valid_until !== null && Date.parse(draft.valid_until) < Date.now()) return refuse(422, 'window_empty', 'The grant would end before it begins.', 'valid_until')
    const subjectId = draft.username == null ? draft.subject_id : accounts.find((each) => each.username === draft.username)?.id
    if (subjectId === undefined) return refuse(422, 'unknown_subject', 'There is no such subject; choose one that exists.', 'subject_id')
    const grant = made({ ...draft, subject_id: subjectId }, Math.max(0, ...grants.map((each) => Number(each.id.slice(3)))) + 1)
    grants = [...grants, grant]
    return ok(grant, 201)
  }
  const [subject, area, channel] = [query.get('subject_id'), query.get('area_id'), query.get('channel_id')]
  return paged(grants.filter((each) => (subject === null ? true : holds(each, subject)) && (area === null || each.area_id === area) && (channel === null || each.channel_id === channel)), query)
}

function holds({ subject_id: subject, role_id: role }: Grant, id: string): boolean {
  return subject === id || members.get(role ?? '')?.has(id) === true
}

function about(grant: Grant, channelId: string): boolean {
  const channel = channels.find((each) => each.id === channelId)
  return grant.channel_id === channelId || (channel !== undefined && grant.area_id !== null && isWithin(channel.area_id, grant.area_id))
}

function explain(channelId: string, query: URLSearchParams): Answer {
  const [named, action] = [query.get('subject') ?? '', (query.get('action') ?? 'live') as Action]
  const account = accounts.find((each) => each.id === named || each.username === named)
  if (account === undefined) return refuse(422, 'unknown_subject', 'There is no such subject; choose one.', 'subject')
  const lines = grants.filter((each) => holds(each, account.id) && about(each, channelId) && each.actions.includes(action))
  const allowed = lines.length > 0
  const [ids, may] = [lines.map((each) => each.id).join(', '), allowed ? 'may' : 'may not']
  return ok({
    subject_id: account.id, username: account.username, channel_id: channelId, action, at: AT, allowed, reason: allowed ? 'granted' : 'no_grant', until: null, until_is_least: false, opens_at: null,
    sentence: { zh: `${account.username}${allowed ? '可以' : '不可以'}：${allowed ? `依据授权 ${ids}` : '没有任何有效授权允许'}。`, en: `${account.username} ${may} ${action}: ${allowed ? `by ${ids}` : 'no grant that holds then allows it'}.` },
    grants: lines.map((each) => ({ grant_id: each.id, role_name: each.role_name, effect: each.effect, says: 'allows', until: null, grant: each, sentence: { zh: `${each.id} 允许`, en: `${each.id} allows` } })),
  } satisfies Explanation)
}

function whoCan(channelId: string): Answer {
  const able = accounts.flatMap((account): Able[] => {
    const own = grants.filter((each) => holds(each, account.id) && about(each, channelId))
    const actions = ACTIONS.filter((action) => own.some((each) => each.actions.includes(action)))
    if (actions.length === 0) return []
    return [{ subject_id: account.id, username: account.username, display_name: account.display_name, actions: actions.map((action) => ({ action, purpose_required: false, until: null, until_is_least: false, grant_ids: own.map((each) => each.id) })) }]
  })
  return ok({ items: able, next_cursor: null, total: able.length })
}
