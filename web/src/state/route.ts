/**
 * Which view of the page is shown, kept in the address's fragment, so that a reload, the back button
 * and a link lead to the same place. `readRoute` and `fragmentOf` are pure and each other's inverse.
 */
import { ref } from 'vue'
import type { Profile } from '../api'
import type { Verdict } from '../manage/api'
import { FILINGS, type Filing } from '../manage/filing'
import { ACTIONS } from '../manage/grants'
import { JUDGEMENTS, type Judgement } from '../manage/inspections'
import type { Action } from '../manage/people'

/** The table of cameras; `area` is a code, empty for all, and `profile` that of the verdict. */
export interface AcceptRoute {
  readonly view: 'accept'
  readonly area: string
  readonly filing: Filing | null
  readonly verdict: Judgement | null
  readonly profile: Profile
}

export const ACCEPT: AcceptRoute = { view: 'accept', area: '', filing: null, verdict: null, profile: 'main' }

/** The grants on an area (its code), or on a camera (its id). */
export interface RightsRoute {
  readonly view: 'rights'
  readonly area: string
  readonly camera: string
}

export const RIGHTS: RightsRoute = { view: 'rights', area: '', camera: '' }

/** Why an account (its user name) may do this to a camera (its id), or not; '' is none chosen yet. */
export interface WhyRoute {
  readonly view: 'why'
  readonly subject: string
  readonly camera: string
  readonly action: Action
}

export const WHY: WhyRoute = { view: 'why', subject: '', camera: '', action: 'live' }

export type Route =
  | { readonly view: 'wall' }
  | { readonly view: 'log' }
  /** A camera's card, or none chosen yet. */
  | { readonly view: 'cameras'; readonly id: string | null }
  | { readonly view: 'imports' }
  /** `after`: the rows behind this number. */
  | { readonly view: 'import'; readonly id: string; readonly verdict: Verdict | null; readonly after: number }
  | { readonly view: 'export' }
  | AcceptRoute
  | { readonly view: 'rules' }
  | { readonly view: 'loans' }
  | { readonly view: 'quotas' }
  /** An account's grants and roles, or none chosen yet. */
  | { readonly view: 'people'; readonly id: string | null }
  | RightsRoute
  | WhyRoute
  | { readonly view: 'sweeps' }
  | { readonly view: 'sweep'; readonly id: string }

const VERDICTS: readonly string[] = ['add', 'change', 'same', 'refused'] satisfies Verdict[]

/** Anything odd is the wall. */
export function readRoute(fragment: string): Route {
  const [path = '', search = ''] = fragment.replace(/^#/, '').split('?', 2)
  const [view, rest] = path.split('/', 2)
  const id = rest === undefined || rest === '' ? null : decoded(rest)
  if (view === 'cameras' || view === 'people') return { view, id }
  if (view === 'rights') return readRights(new URLSearchParams(search))
  if (view === 'why') return readWhy(new URLSearchParams(search))
  if (view === 'export' || view === 'rules' || view === 'loans' || view === 'quotas' || view === 'log') return { view }
  if (view === 'accept') return readAccept(new URLSearchParams(search))
  if (view === 'find') return id === null ? { view: 'sweeps' } : { view: 'sweep', id }
  if (view !== 'import') return { view: 'wall' }
  if (id === null) return { view: 'imports' }
  const query = new URLSearchParams(search)
  const verdict = query.get('verdict')
  const after = Number(query.get('after') ?? 0)
  return {
    view, id,
    verdict: verdict !== null && VERDICTS.includes(verdict) ? (verdict as Verdict) : null,
    after: Number.isSafeInteger(after) && after > 0 ? after : 0,
  }
}

function readAccept(query: URLSearchParams): AcceptRoute {
  return {
    view: 'accept',
    area: query.get('area') ?? '',
    filing: FILINGS.find((each) => each === query.get('filing')) ?? null,
    verdict: JUDGEMENTS.find((each) => each === query.get('verdict')) ?? null,
    profile: query.get('profile') === 'sub' ? 'sub' : 'main',
  }
}

function readRights(query: URLSearchParams): RightsRoute {
  return { view: 'rights', area: query.get('area') ?? '', camera: query.get('camera') ?? '' }
}

function readWhy(query: URLSearchParams): WhyRoute {
  return {
    view: 'why',
    subject: query.get('subject') ?? '',
    camera: query.get('camera') ?? '',
    action: ACTIONS.find((each) => each === query.get('action')) ?? 'live',
  }
}

export function fragmentOf(route: Route): string {
  switch (route.view) {
    case 'wall': return ''
    case 'cameras': return route.id === null ? '#cameras' : `#cameras/${encodeURIComponent(route.id)}`
    case 'imports': return '#import'
    case 'export': return '#export'
    case 'rules': return '#rules'
    case 'loans': return '#loans'
    case 'quotas': return '#quotas'
    case 'log': return '#log'
    case 'accept': {
      const { area, filing, verdict, profile } = route
      return `#accept${query({ area, filing: filing ?? '', verdict: verdict ?? '', profile: profile === 'sub' ? profile : '' })}`
    }
    case 'people': return route.id === null ? '#people' : `#people/${encodeURIComponent(route.id)}`
    case 'rights': return `#rights${query({ area: route.area, camera: route.camera })}`
    case 'why': return `#why${query({ subject: route.subject, camera: route.camera, action: route.action === 'live' ? '' : route.action })}`
    case 'sweeps': return '#find'
    case 'sweep': return `#find/${encodeURIComponent(route.id)}`
    case 'import': {
      const { id, verdict, after } = route
      return `#import/${encodeURIComponent(id)}${query({ verdict: verdict ?? '', after: after > 0 ? String(after) : '' })}`
    }
  }
}

/** What is empty is left out. */
function query(of: Readonly<Record<string, string>>): string {
  const given = new URLSearchParams(Object.entries(of).filter(([, value]) => value !== ''))
  return given.size > 0 ? `?${given.toString()}` : ''
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part)
  } catch {
    return null
  }
}

export const route = ref<Route>({ view: 'wall' })
/** Answers whether the shown view may be left; set by a view that holds something unsaved. */
let mayLeave: () => boolean = () => true

export function guardLeaving(ask: (() => boolean) | null): void {
  mayLeave = ask ?? (() => true)
}

/** Shows another view; `replace` where going back to the one before would be of no use. */
export function go(to: Route, replace = false): void {
  if (!mayLeave()) return
  const address = `${location.pathname}${location.search}${fragmentOf(to)}`
  if (replace) history.replaceState(null, '', address)
  else history.pushState(null, '', address)
  route.value = to
}

/** `go` for what takes a while, as it begins: who has left its view by the end stays where they are. */
export function onward(): typeof go {
  const begun = placeOf(route.value)
  return (to, replace) => {
    if (placeOf(route.value) === begun) go(to, replace)
  }
}

/** The view and what it is of; not how that is narrowed. */
function placeOf(of: Route): string {
  return `${of.view}/${'id' in of ? of.id : ''}`
}

export function startRoute(): void {
  route.value = readRoute(location.hash)
  // Back, forward, links, and a fragment typed by hand.
  window.addEventListener('hashchange', () => {
    if (mayLeave()) route.value = readRoute(location.hash)
    else history.pushState(null, '', `${location.pathname}${location.search}${fragmentOf(route.value)}`)
  })
}
