import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { manageAnswer } from '../dev/manage'
import { Api } from '../src/api'
import { lang } from '../src/i18n'
import { ManageApi, type Camera, type ImportJob, type ImportOptions } from '../src/manage/api'
import { cardKey, changedKeys, draft, rebased, valuesOf } from '../src/manage/card'
import { applyHindrance, countOf, ImportDesk, POLL_MS, stateKey } from '../src/manage/desk'
import { FieldBook, joined, split } from '../src/manage/fields'
import { workbookName } from '../src/manage/save'
import { fragmentOf, readRoute, type Route } from '../src/state/route'

/** The page's door to the mocked service of `dev/`. */
function mocked(): ManageApi {
  return new ManageApi(new Api({
    fetch: async (path, init) => {
      const body = init?.body
      const text = body instanceof Blob ? await body.text() : typeof body === 'string' ? body : ''
      const answer = manageAnswer(init?.method ?? 'GET', new URL(path, 'http://mock.invalid'), text)
      if (answer === null) return new Response(null, { status: 404 })
      if (answer.status === 204) return new Response(null, { status: 204 })
      return answer.file === undefined ? Response.json(answer.body, { status: answer.status }) : new Response(String(answer.body))
    },
  }))
}

const OPTIONS: ImportOptions = { template: 'archive-27', area: null, device_class: 'police_hd', vendor: null, datum: 'wgs84', mint: null, clear_empty: false }
const GOOD = '11011200001321990001,新口'
const BAD = '1234,坏'

async function sent(api: ManageApi, lines: readonly string[], name = 'a.csv'): Promise<ImportJob> {
  const result = await api.createImport(new Blob([['设备编码,设备名称', ...lines].join('\n')]), name, OPTIONS)
  if (result.kind !== 'success') throw new Error('not taken')
  return result.value
}

async function found(api: ManageApi, code: string): Promise<boolean> {
  const result = await api.exported({ template: 'full', kind: 'csv', language: 'zh', areaId: null })
  return result.kind === 'success' && (await result.value.text()).includes(code)
}

it('a device is listened to, or not, and has its dials', async () => {
  const api = mocked()
  expect(await api.device('de_1')).toMatchObject({ value: { listen_to_events: false, events_state: null } })
  expect(await api.changeDevice('de_1', { listen_to_events: true })).toMatchObject({ value: { listen_to_events: true } })
  expect(await api.device('de_1')).toMatchObject({ value: { events_state: 'listening' } })
  expect(await api.changeDevice('de_1', { max_dials: 16 })).toMatchObject({ value: { max_dials: 16, events_state: 'listening' } })
})

describe('an import on the desk', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  async function opened(lines: readonly string[]): Promise<{ api: ManageApi; desk: ImportDesk }> {
    const api = mocked()
    const desk = new ImportDesk(api)
    await desk.open((await sent(api, lines)).id, null, 0)
    return { api, desk }
  }
  const checked = () => vi.advanceTimersByTimeAsync(5 * POLL_MS)

  it('tells how far the check is, then what it found', async () => {
    const { desk } = await opened([GOOD, BAD])
    const seen = [desk.view.job?.rows_done]
    await vi.advanceTimersByTimeAsync(POLL_MS)
    seen.push(desk.view.job?.rows_done)
    expect(seen).toEqual([400, 800])
    expect(desk.view.rows).toEqual([])
    await checked()
    expect(desk.view.job?.counts).toMatchObject({ add: 1, refused: 1 })
    expect(desk.view.rows.map((row) => [row.row, row.verdict])).toEqual([[2, 'add'], [3, 'refused']])
    expect(desk.view.rows[1]?.findings).toMatchObject([{ column: '设备编码', code: 'code_not_20_digits', severity: 'error' }])
    expect(vi.getTimerCount()).toBe(0)
    desk.stop()
  })

  it('shows the rows of one verdict, and those behind a number', async () => {
    const { desk } = await opened([GOOD, BAD, '5678,坏'])
    await checked()
    const id = desk.view.job?.id ?? ''
    await desk.open(id, 'refused', 0)
    expect(desk.view.rows.map((row) => row.row)).toEqual([3, 4])
    await desk.open(id, 'refused', 3)
    expect(desk.view.rows.map((row) => row.row)).toEqual([4])
  })

  it('is applied without the rows with errors only when told so, and undone as one', async () => {
    const { api, desk } = await opened(['11011200001321990002,西口', BAD])
    await checked()
    await desk.apply(false)
    expect(desk.view.error?.code).toBe('rows_refused')
    expect(await found(api, '11011200001321990002')).toBe(false)
    await desk.apply(true)
    expect([desk.view.job?.state, desk.view.error]).toEqual(['applied', null])
    expect(await found(api, '11011200001321990002')).toBe(true)
    await desk.undo()
    expect(desk.view.job?.state).toBe('undone')
    expect(await found(api, '11011200001321990002')).toBe(false)
  })

  it('is checked again when the registry has changed', async () => {
    const { api, desk } = await opened(['11011200001321990003,东口'])
    await checked()
    await api.changeCamera('ch_20', { facts: { address: '新华大街 1 号' } })
    await desk.apply(false)
    expect(desk.view.error?.code).toBe('registry_changed')
    await desk.checkAgain()
    expect([desk.view.job?.state, desk.view.error]).toEqual(['checking', null])
    await checked()
    await desk.apply(false)
    expect(desk.view.job?.state).toBe('applied')
    await desk.undo()
  })

  it('says why a file as a whole is refused', async () => {
    const api = mocked()
    const result = await api.createImport(new Blob(['a,b\n1,2']), 'b.csv', OPTIONS)
    const desk = new ImportDesk(api)
    await desk.open(result.kind === 'success' ? result.value.id : '', null, 0)
    await checked()
    expect(desk.view.job).toMatchObject({ state: 'refused', code: 'column_missing', sentence: expect.stringContaining('设备编码') as string })
  })

  it('looks again after a broken network, and not after a 404', async () => {
    const api = mocked()
    const job = await sent(api, [GOOD])
    const answers = [() => Promise.resolve({ kind: 'error', error: { status: 0, code: 'network', detail: null, retryAfterMs: null } } as const), () => api.importJob(job.id)]
    const desk = new ImportDesk({ ...bound(api), importJob: () => (answers.shift() ?? (() => api.importJob(job.id)))() })
    await desk.open(job.id, null, 0)
    expect(desk.view.error?.code).toBe('network')
    await checked()
    expect([desk.view.job?.state, desk.view.error]).toEqual(['checked', null])
    const other = new ImportDesk(api)
    await other.open('im_gone', null, 0)
    expect([other.view.error?.code, other.view.loading, vi.getTimerCount()]).toEqual(['not_found', false, 0])
  })

  it('lets an answer for another import go', async () => {
    const { api, desk } = await opened([GOOD])
    await checked()
    const applying = desk.apply(false)
    const other = await sent(api, [BAD], 'other.csv')
    await desk.open(other.id, null, 0)
    await applying
    expect([desk.view.job?.file_name, desk.view.busy]).toEqual(['other.csv', null])
    desk.stop()
  })

  it('comes back as a workbook in the language that is asked for', async () => {
    const fetch = vi.fn(() => Promise.resolve(new Response('PK')))
    const desk = new ImportDesk(new ManageApi(new Api({ fetch })))
    await desk.open('im_1', null, 0)
    expect(await (await desk.workbook('zh'))?.text()).toBe('PK')
    expect(fetch).toHaveBeenLastCalledWith('/api/v1/imports/im_1/workbook?language=zh', expect.anything())
    desk.stop()
  })

  it('is gone when it is discarded', async () => {
    const { api, desk } = await opened([GOOD])
    await checked()
    expect(await desk.discard()).toBe(true)
    expect(await api.importJob(desk.view.job?.id ?? '')).toMatchObject({ error: { code: 'not_found' } })
    expect(await desk.discard()).toBe(false)
  })
})

function bound(api: ManageApi): ConstructorParameters<typeof ImportDesk>[0] {
  return {
    importJob: (id, signal) => api.importJob(id, signal), importRows: (...args) => api.importRows(...args), checkImport: (id) => api.checkImport(id),
    applyImport: (id, without) => api.applyImport(id, without), undoImport: (id) => api.undoImport(id), discardImport: (id) => api.discardImport(id),
    workbook: (id, language) => api.workbook(id, language),
  }
}

describe('what may be applied', () => {
  const job = (counts: ImportJob['counts'], state: ImportJob['state'] = 'checked'): ImportJob =>
    ({ id: 'im', created_at: '', created_by: null, file_name: '', options: OPTIONS, state, rows_done: 0, counts, code: null, sentence: null, finished_at: null })

  it('is a checked file without errors, or with its errors left out, that changes something', () => {
    expect(applyHindrance(job({ add: 1 }), false)).toBeNull()
    expect(applyHindrance(job({ add: 1, refused: 2 }), false)).toBe('refused')
    expect(applyHindrance(job({ change: 1, refused: 2 }), true)).toBeNull()
    expect(applyHindrance(job({ same: 4, refused: 1 }), true)).toBe('nothing')
    expect(applyHindrance(job({ add: 1 }, 'applied'), false)).toBe('state')
  })

  it('does not wait for it where nothing in the file can be applied', () => {
    expect(stateKey(job({ refused: 3 }))).toBe('import.state.faulty')
    expect(stateKey(job({ add: 1, refused: 3 }))).toBe('import.state.checked')
    expect(stateKey(job({ same: 3 }))).toBe('import.state.checked')
    expect(stateKey(job({ add: 1, refused: 3 }, 'applied'))).toBe('import.state.applied')
    expect(stateKey(job({ refused: 3 }, 'discarded'))).toBe('import.state.discarded')
  })

  it('counts rows, not warnings', () => {
    expect(countOf(job({ add: 1, same: 2, refused: 3, warnings: 9 }), null)).toBe(6)
    expect(countOf(job({}), 'add')).toBe(0)
  })
})

describe('the address', () => {
  const routes: Route[] = [
    { view: 'wall' }, { view: 'log' }, { view: 'cameras', id: null }, { view: 'cameras', id: 'ch_a/b' }, { view: 'imports' }, { view: 'export' },
    { view: 'import', id: 'im_1', verdict: null, after: 0 }, { view: 'import', id: 'im_1', verdict: 'refused', after: 300 },
  ]
  it.each(routes)('leads back to $view', (route) => {
    expect(readRoute(fragmentOf(route))).toEqual(route)
  })

  it('is the wall, or without the odd part, when it is odd', () => {
    expect(readRoute('#nonsense')).toEqual({ view: 'wall' })
    expect(readRoute('#import/%E0%A4%A')).toEqual({ view: 'imports' })
    expect(readRoute('#import/im_1?verdict=x&after=-3')).toEqual({ view: 'import', id: 'im_1', verdict: null, after: 0 })
  })
})

describe('a camera’s card', () => {
  const camera: Camera = {
    id: 'ch_1', code: '1', name: '东门', device_class: 'police_hd', area_id: 'ar_1', area_path: [], enabled: true, filing: 'filed', filing_note: null, sensitive: false, profiles: ['main'], may: ['manage'], purpose_for: [],
    lon: 116.5, lat: null, device_id: 'de_1', main_url: 'rtsp://a/', sub_url: 'rtsp://b/', facts: { address: '路 1 号', 'other.颜色': '红' },
  }
  const before = valuesOf(camera, '110112')
  const areaId = (code: string) => (code === '110113' ? 'ar_2' : null)

  it('sends what was changed and nothing else', () => {
    expect(draft(before, before, areaId)).toEqual({ kind: 'patch', patch: {} })
    const now = { ...before, 'name': ' 西门 ', 'area': '110113', 'sub_url': '', 'lon': '', 'lat': '39.9', 'enabled': 'false', 'address': '', 'other.颜色': '蓝', 'direction': '2' }
    expect(draft(before, now, areaId)).toEqual({
      kind: 'patch',
      patch: {
        name: '西门', area_id: 'ar_2', sub_url: null, lon: null, lat: 39.9, enabled: false,
        facts: { 'address': null, 'other.颜色': '蓝', 'direction': '2' },
      },
    })
  })

  it('does not send what can be no position and no area', () => {
    expect(draft(before, { ...before, lon: '116.5E' }, areaId)).toMatchObject({ kind: 'wrong', key: 'lon' })
    expect(draft(before, { ...before, area: '9' }, areaId)).toMatchObject({ kind: 'wrong', key: 'area' })
  })

  it('takes blanks around a value, and an empty one that never was, for no change', () => {
    expect(changedKeys(before, { ...before, name: ' 东门 ', direction: '' })).toEqual([])
  })

  it('keeps what was typed while it was saved, or before a version was undone', () => {
    const sent = { ...before, name: ' 西门 ', lat: '39.9' }
    const saved = { ...before, name: '西门', lat: '39.9' }
    const now = rebased(sent, { ...sent, lat: '40.1', address: '' }, saved)
    expect(now).toEqual({ ...saved, lat: '40.1', address: '' })
    expect(changedKeys(saved, now)).toEqual(['address', 'lat'])
    expect(rebased(before, { ...before, direction: '2' }, { ...before, name: '北门' })).toEqual({ ...before, name: '北门', direction: '2' })
  })

  it('is saved, refused with the field’s name, and taken back', async () => {
    const api = mocked()
    expect(await api.changeCamera('ch_30', { main_url: 'http://x/' })).toMatchObject({ error: { field: 'main_url' } })
    expect([cardKey('area_id'), cardKey('lon')]).toEqual(['area', 'lon'])
    await api.changeCamera('ch_30', { facts: { direction: '1' } })
    const listed = await api.versions('ch_30', null)
    const newest = listed.kind === 'success' ? listed.value.items[0] : undefined
    expect(newest?.changes).toEqual([{ field: 'direction', before: '', after: '1' }])
    expect(await api.undoVersion(newest?.version ?? 0)).toMatchObject({ kind: 'success', value: { act: 'channel_undo' } })
    expect(await api.camera('ch_30')).toMatchObject({ value: { facts: {} } })
    expect(await api.undoVersion(newest?.version ?? 0)).toMatchObject({ error: { code: 'changed_since' } })
  })
})

describe('fields as words', () => {
  afterEach(() => void (lang.value = 'zh'))

  async function book(): Promise<FieldBook> {
    const fields = await mocked().fields()
    if (fields.kind !== 'success') throw new Error('no fields')
    return new FieldBook(fields.value, [{ id: 'ar_1', parent_id: null, kind: 'grid', code: '110112', name: '通州区', boundary_points: 0, schematic: false, channel_count: 0 }])
  }

  it('names fields, codes and areas in the language of the page', async () => {
    const words = await book()
    expect([words.label('direction'), words.text('direction', '1'), words.text('area', '110112'), words.text('enabled', 'false')]).toEqual(['监视方位', '东', '通州区', '否'])
    lang.value = 'en'
    expect([words.label('direction'), words.text('function_type', '1/5'), words.label('device')]).toEqual(['Direction', 'Vehicle checkpoint / Ordinary', 'Device'])
  })

  it('leaves what it does not know as it is', async () => {
    const words = await book()
    expect([words.label('other.颜色'), words.label('new_one'), words.text('direction', '77'), words.text('area', '1')]).toEqual(['颜色', 'new_one', '77', '1'])
  })

  it('keeps several codes in the table’s order, and strangers', async () => {
    const field = (await book()).get('function_type')
    expect(field && joined(field, new Set([...split('9/5'), '1']))).toBe('1/5/9')
  })

  it('names the workbook after its file', () => {
    expect([workbookName('通州.v2.csv'), workbookName('list')]).toEqual(['通州.v2.errors.xlsx', 'list.errors.xlsx'])
  })
})
