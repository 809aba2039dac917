/**
 * What the managers' views share: their door to the service, and the registry's words (fields, areas,
 * forms, vendors), asked for each time the view is opened.
 */
import { computed, reactive, ref, shallowRef } from 'vue'
import type { ApiError, Area, Result } from '../api'
import { t } from '../i18n'
import { ManageApi, type Fields, type ImportOptions, type Template, type Words } from '../manage/api'
import { AssignApi } from '../manage/assign'
import { BoundaryApi } from '../manage/boundaries'
import { FieldBook } from '../manage/fields'
import { FilingApi } from '../manage/filing'
import { InspectionApi } from '../manage/inspections'
import { PeopleApi } from '../manage/people'
import { QuotaApi } from '../manage/quotas'
import { RuleApi } from '../manage/rules'
import { SweepApi } from '../manage/sweeps'
import { purposes } from './purpose'
import { said } from './said'
import { api } from './signin'

export const manageApi = new ManageApi(api)
export const assignApi = new AssignApi(api)
export const filingApi = new FilingApi(api)
export const inspectionApi = new InspectionApi(api)
export const peopleApi = new PeopleApi(api)
export const quotaApi = new QuotaApi(api)
export const boundaryApi = new BoundaryApi(api)
export const ruleApi = new RuleApi(api)
export const sweepApi = new SweepApi(api)

export const areas = shallowRef<readonly Area[]>([])
export const templates = shallowRef<readonly Template[]>([])
export const vendors = shallowRef<readonly (Words & { readonly name: string })[]>([])
const fields = shallowRef<Fields | null>(null)
/** Null until it is there. */
export const book = computed(() => (fields.value === null ? null : new FieldBook(fields.value, areas.value)))
export const wordsError = ref<ApiError | null>(null)

/** What was chosen for the last file: the next one is likely to want the same. */
export const importOptions = reactive<{ -readonly [K in keyof ImportOptions]: ImportOptions[K] }>({
  template: 'archive-27', area: null, device_class: 'police_hd', vendor: null, datum: 'wgs84', mint: null, clear_empty: false,
})

export async function loadWords(): Promise<void> {
  forgetWords()
  await askWords()
}

/** Leaves what is there as it is until its answer comes: somebody may be at work with it. */
export async function askWords(): Promise<void> {
  await keepAll([
    askAreas(),
    manageApi.fields().then(keep((value) => (fields.value = value))),
    manageApi.templates().then(keep((value) => (templates.value = value))),
    manageApi.vendors().then(keep((value) => (vendors.value = value))),
  ])
}

/** What the log's view has for words: areas, and what for. */
export async function loadLogWords(): Promise<void> {
  forgetWords()
  await askLogWords()
}

export async function askLogWords(): Promise<void> {
  await keepAll([askAreas(), api.purposes().then(keep((value) => (purposes.value = value.items)))])
}

/** Who signed in before may have seen other areas. */
function forgetWords(): void {
  fields.value = null
  areas.value = []
}

function askAreas(): Promise<ApiError | null> {
  return api.areas().then(keep((value) => (areas.value = value.items)))
}

let asks = 0

async function keepAll(asked: readonly Promise<ApiError | null>[]): Promise<void> {
  const mine = (asks += 1)
  wordsError.value = null
  const errors = await Promise.all(asked)
  // What another view lacked is not said in this one.
  if (mine === asks) wordsError.value = errors.find((each) => each !== null) ?? null
}

function keep<T>(take: (value: T) => void): (result: Result<T>) => ApiError | null {
  return (result) => {
    if (result.kind === 'success') take(result.value)
    return result.kind === 'error' ? result.error : null
  }
}

/** The code of an answer without a problem body: a proxy's, before a service that is away. */
const PROXY_ALONE = /^http_5\d\d$/

/** An error as a sentence in the page's language. */
export function sentenceOf(error: ApiError): string {
  if (error.status === 0 || error.code === 'bad_body' || PROXY_ALONE.test(error.code)) return t('manage.no_answer')
  return said(error.code, error.detail)
}

export function areaPath(code: string): string | null {
  const byId = new Map(areas.value.map((area) => [area.id, area]))
  const names: string[] = []
  let at = areas.value.find((area) => area.code === code)
  if (at === undefined) return null
  for (; at !== undefined; at = byId.get(at.parent_id ?? '')) names.unshift(at.name)
  return names.join(' / ')
}

export type AreaFound = { readonly kind: 'one' | 'none'; readonly code: string } | { readonly kind: 'several'; readonly code: string; readonly of: readonly Area[] }

/** What was typed into an area's field, a code or a name; `code` is the area's that it means, else what was typed. */
export function areaFound(typed: string): AreaFound {
  const code = typed.trim()
  if (areaId(code) !== null) return { kind: 'one', code }
  const of = areas.value.filter((area) => area.name === code)
  if (of.length > 1) return { kind: 'several', code, of }
  return of[0] === undefined ? { kind: 'none', code } : { kind: 'one', code: of[0].code }
}

export function areaId(code: string): string | null {
  return areas.value.find((area) => area.code === code)?.id ?? null
}

/** The last two names of an area's path, by its id: enough to know it. */
export function areaTail(id: string): string | null {
  return areaPath(areaCode(id))?.split(' / ').slice(-2).join(' / ') ?? null
}

export function areaCode(id: string): string {
  return areas.value.find((area) => area.id === id)?.code ?? ''
}
