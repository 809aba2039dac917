/**
 * The mocked service's part for those who manage cameras: enough of imports, exports and cards to see
 * every state of their views. A file is a CSV with the headings 设备编码 and 设备名称 (or Device code,
 * Device name); other columns are facts by key. Pure: a request in, an answer out.
 */
import type { Channel } from '../src/api'
import type { Change, Device, Fields, Finding, ImportJob, ImportRow, ImportState, Version } from '../src/manage/api'
import { areas, channels } from './data.ts'

export interface Answer { readonly status: number; readonly body: unknown; readonly file?: string }

interface Mocked { job: ImportJob; rows: ImportRow[]; looks: number; base: number; undo: (() => void)[]; text: string }

const fields: Fields = {
  sections: [
    { key: 'identity', zh: '身份与视频流', en: 'Identity and streams' },
    { key: 'place', zh: '安装位置与视野', en: 'Place and view' },
    { key: 'recording', zh: '录像与存储', en: 'Recording' },
  ],
  items: [
    field('code', '设备编码', 'Device code', 'identity', 'gb_code', 'channel'),
    field('name', '设备名称', 'Device name', 'identity', 'text', 'channel'),
    field('area', '所属区域编码', 'Area code', 'identity', 'area', 'channel'),
    field('device_class', '设备类别', 'Device class', 'identity', 'choice', 'channel', [['police_hd', '公安高清', 'Police HD'], ['alley', '背街小巷', 'Alley']]),
    field('main_url', '主码流地址', 'Main stream URL', 'identity', 'rtsp_url', 'channel'),
    field('sub_url', '子码流地址', 'Sub stream URL', 'identity', 'rtsp_url', 'channel'),
    field('lon', '经度', 'Longitude', 'identity', 'longitude', 'channel'),
    field('lat', '纬度', 'Latitude', 'identity', 'latitude', 'channel'),
    field('enabled', '启用', 'Enabled', 'identity', 'boolean', 'channel'),
    field('address', '安装地址', 'Address', 'place'),
    field('direction', '监视方位', 'Direction', 'place', 'choice', 'facts', [['1', '东', 'East'], ['2', '西', 'West']]),
    field('function_type', '摄像机功能类型', 'Function type', 'place', 'choices', 'facts', [['1', '车辆卡口', 'Vehicle checkpoint'], ['5', '普通监控', 'Ordinary']]),
    field('record_days', '录像保存天数', 'Days of recording', 'recording', 'integer'),
  ],
}

function field(
  key: string, zh: string, en: string, section: string, kind: Fields['items'][number]['kind'] = 'text',
  of: 'channel' | 'facts' = 'facts', choices: readonly (readonly [string, string, string])[] = [],
): Fields['items'][number] {
  return { key, zh, en, section, kind, of, max_chars: 100, choices: choices.map(([code, ...words]) => ({ code, zh: words[0], en: words[1] })) }
}

const imports: Mocked[] = []
const facts = new Map<string, Record<string, string>>()
const sensitive = new Set<string>()
const versions: (Version & { readonly channelId: string; readonly undo: () => void })[] = []
export const AT = '2026-01-01T08:00:00Z'
/** Rows between two looks at a check under way. */
const ROWS_A_LOOK = 400
const MORE_LOOKS = 3

export const ok = (body: unknown, status = 200): Answer => ({ status, body })
export const refuse = (status: number, code: string, detail: string, field?: string): Answer =>
  ({ status, body: { type: 'about:blank', title: code, status, code, detail, ...(field !== undefined && { field }) } })

/** Null for what is not its own. */
export function manageAnswer(method: string, url: URL, body: string): Answer | null {
  const [, , , noun, id, part] = url.pathname.split('/')
  const query = url.searchParams
  if (noun === 'channel-fields') return ok(fields)
  if (noun === 'import-vendors') return ok([{ name: 'hikvision', zh: '海康威视', en: 'Hikvision' }])
  if (noun === 'import-templates') return ok([{ name: 'archive-27', title: '一机一档（27 项）', title_en: 'Camera archive of 27 columns', columns: 27 }, { name: 'full', title: '全部字段', title_en: 'Every field', columns: 80 }])
  if (noun === 'channel-export') return { ...ok(channels.map((each) => `${each.code},${each.name}`).join('\n')), file: 'text/csv' }
  if (noun === 'channel-versions' && id !== undefined) return undoVersion(Number(id))
  if (noun === 'devices' && id === device.id) return ok(method === 'PATCH' ? changed(body) : device)
  if (noun === 'channels' && id !== undefined) return camera(method, id, part, body)
  if (noun !== 'imports') return null
  if (id === undefined) return method === 'POST' ? createImport(query, body) : ok({ items: imports.map((each) => each.job).reverse(), next_cursor: null, total: imports.length })
  const found = imports.find((each) => each.job.id === id)
  if (found === undefined) return refuse(404, 'not_found', `There is no import '${id}'.`)
  if (part === undefined && method === 'DELETE') {
    imports.splice(imports.indexOf(found), 1)
    return ok(null, 204)
  }
  switch (part) {
    case 'rows': return rowsOf(found, query)
    case 'workbook': return { ...ok(found.text), file: 'application/octet-stream' }
    case 'check': return ok(plan(found), 202)
    case 'apply': return apply(found, (JSON.parse(body) as { without_refused: boolean }).without_refused)
    case 'undo':
      for (const back of found.undo.splice(0).reverse()) back()
      return ok(become(found, 'undone'))
    default: return ok(look(found))
  }
}

export function createImport(query: URLSearchParams, text: string): Answer {
  if (text.trim() === '') return refuse(422, 'file_empty', 'The file has 0 bytes; it may have 1 to 67108864.', 'file')
  const job: ImportJob = {
    id: `im_${imports.length + 1}_${Math.random().toString(36).slice(2, 8)}`, created_at: AT, created_by: 'admin', file_name: query.get('name') ?? '', state: 'checking', rows_done: 0,
    options: {
      template: query.get('template') ?? '', area: query.get('area'), device_class: query.get('device_class') ?? '', vendor: query.get('vendor'),
      datum: (query.get('datum') ?? 'wgs84') as 'wgs84', mint: query.get('mint'), clear_empty: query.get('clear_empty') === 'true',
    },
    counts: {}, code: null, sentence: null, finished_at: null,
  }
  const made: Mocked = { job, rows: [], looks: 0, base: 0, undo: [], text }
  imports.push(made)
  return ok(plan(made), 202)
}

function become(found: Mocked, state: ImportState): ImportJob {
  found.job = { ...found.job, state, finished_at: AT }
  return found.job
}

/** The check begins; `look` lets it go on. */
function plan(found: Mocked): ImportJob {
  found.looks = 0
  found.rows = []
  found.job = { ...found.job, state: 'checking', rows_done: 0, counts: {}, code: null, sentence: null }
  return found.job
}

function look(found: Mocked): ImportJob {
  if (found.job.state !== 'checking') return found.job
  found.looks += 1
  if (found.looks < MORE_LOOKS) found.job = { ...found.job, rows_done: found.looks * ROWS_A_LOOK }
  else finish(found)
  return found.job
}

function finish(found: Mocked): void {
  const [head = '', ...lines] = found.text.replace(/^\uFEFF/, '').split(/\r?\n/).filter((line) => line.trim() !== '')
  const headings = head.split(',')
  const codeAt = headings.findIndex((each) => each === '设备编码' || each === 'Device code')
  const nameAt = headings.findIndex((each) => each === '设备名称' || each === 'Device name')
  if (codeAt < 0 || nameAt < 0) {
    found.job = { ...found.job, state: 'refused', code: 'column_missing', sentence: 'The file lacks columns that the template requires: 设备编码, 设备名称.' }
    return
  }
  found.rows = lines.map((line, index) => planned(line.split(','), headings, codeAt, nameAt, index + 2))
  const count = (verdict: string) => found.rows.filter((row) => row.verdict === verdict).length
  const warnings = found.rows.flatMap((row) => row.findings).filter((each) => each.severity === 'warning').length
  const counts = { add: count('add'), change: count('change'), same: count('same'), refused: count('refused'), warnings }
  found.base = versions.length
  found.job = { ...found.job, state: 'checked', rows_done: lines.length, counts }
}

function planned(cells: readonly string[], headings: readonly string[], codeAt: number, nameAt: number, row: number): ImportRow {
  const code = cells[codeAt] ?? ''
  const name = cells[nameAt] ?? ''
  const findings: Finding[] = []
  const say = (at: number, key: string, what: string, sentence: string, severity: Finding['severity']) => findings.push({ column: headings[at] ?? '', field: key, code: what, sentence, severity })
  if (!/^\d{20}$/.test(code)) say(codeAt, 'code', 'code_not_20_digits', `A device code has 20 digits; '${code}' has ${code.length}.`, 'error')
  if (name === '') say(nameAt, 'name', 'required', 'The form requires it; fill it in.', 'error')
  if (name.length > 12) say(nameAt, 'name', 'name_long', 'The name is long; shorten it.', 'warning')
  const here = channels.find((each) => each.code === code)
  const changes: Change[] = here !== undefined && here.name !== name ? [{ field: 'name', before: here.name, after: name }] : []
  const refused = findings.some((each) => each.severity === 'error')
  const verdict = refused ? 'refused' : here === undefined ? 'add' : changes.length > 0 ? 'change' : 'same'
  return { row, verdict, code, name, code_made: false, changes: refused ? [] : changes, findings }
}

/** What an import brought; nothing of one that is not there. */
export function importedIds(id: string): readonly string[] {
  const codes = new Set(imports.find((each) => each.job.id === id)?.rows.filter((row) => row.verdict === 'add' || row.verdict === 'change').map((row) => row.code))
  return channels.filter((each) => codes.has(each.code)).map((each) => each.id)
}

function rowsOf(found: Mocked, query: URLSearchParams): Answer {
  const after = Number(query.get('after') ?? 0)
  const limit = Number(query.get('limit') ?? 50)
  const verdict = query.get('verdict')
  const rows = found.rows.filter((row) => row.row > after && (verdict === null || row.verdict === verdict)).slice(0, limit)
  return ok({ items: rows, next_after: rows.length === limit ? (rows.at(-1)?.row ?? null) : null })
}

function apply(found: Mocked, withoutRefused: boolean): Answer {
  if (found.job.state === 'applied') return ok(found.job)
  if (found.job.state !== 'checked') return refuse(409, 'not_checked', `The import is ${found.job.state}; it can't be applied now.`)
  if ((found.job.counts.refused ?? 0) > 0 && !withoutRefused) return refuse(409, 'rows_refused', `${found.job.counts.refused ?? 0} rows have errors; correct them and import the file again, or apply the others without them.`)
  if (versions.length !== found.base) return refuse(409, 'registry_changed', 'The registry has changed since the check; check the import again and look at what it would do now.')
  for (const row of found.rows) {
    if (row.verdict === 'add') {
      const [like] = channels
      if (like !== undefined) channels.push({ ...like, filing: 'draft', id: `ch_${channels.length}`, code: row.code ?? '', name: row.name ?? '' })
      found.undo.push(() => channels.splice(channels.findIndex((each) => each.code === row.code), 1))
    } else if (row.verdict === 'change') {
      const index = channels.findIndex((each) => each.code === row.code)
      const before = channels[index]
      if (before === undefined) continue
      channels[index] = { ...before, name: row.name ?? '' }
      found.undo.push(() => (channels[index] = before))
    }
  }
  return ok(become(found, 'applied'))
}

function detail(channel: Channel): object {
  const url = `rtsp://127.0.0.1:8554/cam/${channel.id.slice(3)}`
  return { ...channel, may: [...channel.may, 'manage'], lon: 116.66, lat: 39.9, device_id: 'de_1', main_url: `${url}/main`, sub_url: `${url}/sub`, facts: facts.get(channel.id) ?? {}, sensitive: sensitive.has(channel.id) }
}

/** One box for all of them. */
let device: Device = {
  id: 'de_1', name: 'NVR 1', host: '192.0.2.10', port: 554, username: 'admin', has_password: true, max_dials: 4, listen_to_events: false, events_state: null,
}

function changed(body: string): Device {
  const { listen_to_events: on = device.listen_to_events, max_dials = device.max_dials } = JSON.parse(body) as Partial<Device>
  return (device = { ...device, max_dials, listen_to_events: on, events_state: on ? 'listening' : null })
}

function camera(method: string, id: string, part: string | undefined, body: string): Answer | null {
  const index = channels.findIndex((each) => each.id === id)
  const before = channels[index]
  if (before === undefined) return refuse(404, 'not_found', `There is no channel '${id}'.`)
  if (part === 'versions') {
    const own = versions.filter((each) => each.channelId === id).reverse()
    return ok({ items: own, next_cursor: null, total: own.length })
  }
  if (part !== undefined) return null
  if (method !== 'PATCH') return ok(detail(before))
  const patch = JSON.parse(body) as { name?: string; sensitive?: boolean; area_id?: string; main_url?: string; facts?: Record<string, string | null> }
  if (patch.main_url !== undefined && !patch.main_url.startsWith('rtsp://')) return refuse(422, 'url_not_rtsp', 'Only rtsp:// URLs are pulled; this one begins otherwise.', 'main_url')
  if (patch.area_id !== undefined && !areas.some((each) => each.id === patch.area_id)) return refuse(422, 'unknown_area', 'There is no such area.', 'area_id')
  const factsBefore = facts.get(id) ?? {}
  const merged = { ...factsBefore, ...patch.facts }
  const kept = Object.fromEntries(Object.entries(merged).filter((each): each is [string, string] => each[1] !== null))
  const changes: Change[] = Object.keys(merged).filter((key) => factsBefore[key] !== kept[key]).map((key) => ({ field: key, before: factsBefore[key] ?? '', after: kept[key] ?? '' }))
  if (patch.name !== undefined) changes.unshift({ field: 'name', before: before.name, after: patch.name })
  channels[index] = { ...before, name: patch.name ?? before.name, area_id: patch.area_id ?? before.area_id }
  facts.set(id, kept)
  if (patch.sensitive === true) sensitive.add(id)
  else if (patch.sensitive === false) sensitive.delete(id)
  noteVersion(id, 'channel_update', changes, () => {
    channels[index] = before
    facts.set(id, factsBefore)
  })
  return ok(detail(channels[index]))
}

export function noteVersion(channelId: string, act: string, changes: readonly Change[], undo: () => void): Version {
  const made = { version: versions.length + 1, at: AT, by: 'admin', act, import_id: null, existed: true, exists: true, changes, channelId, undo }
  versions.push(made)
  return made
}

function undoVersion(number: number): Answer {
  const found = versions[number - 1]
  if (found === undefined) return refuse(404, 'not_found', `There is no version '${number}'.`)
  if (versions.filter((each) => each.channelId === found.channelId).at(-1) !== found) return refuse(409, 'changed_since', 'It was changed again since; undo its newer versions first.')
  found.undo()
  return ok(noteVersion(found.channelId, 'channel_undo', found.changes.map((each) => ({ ...each, before: each.after, after: each.before })), () => undefined))
}
