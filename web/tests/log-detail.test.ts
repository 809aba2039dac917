import { afterEach, describe, expect, it } from 'vitest'
import { lang } from '../src/i18n'
import type { LogRow } from '../src/log/api'
import { detailPairs, detailText } from '../src/log/detail'
import { purposes } from '../src/state/purpose'

describe('what a row says besides', () => {
  const NOW = Date.parse('2026-11-27T12:00:00Z')
  const of = (act: string, detail: LogRow['detail'], outcome: LogRow['outcome'] = 'ok') => detailText({ act, outcome, detail }, NOW)

  afterEach(() => {
    lang.value = 'zh'
    purposes.value = []
  })

  it('is to whom, and what they may', () => {
    const detail = { id: 'gr_1', to: 'wang', actions: ['live', 'list'], valid_until: null }
    lang.value = 'zh'
    expect(of('grant_create', detail)).toBe('对象：wang · 查看摄像机列表、实时观看')
    expect(of('grant_revoke', { ...detail, to: 'role:night', effect: 'deny' })).toBe('对象：角色 night · 禁止 · 查看摄像机列表、实时观看')
    lang.value = 'en'
    expect(of('grant_create', detail)).toBe('to wang · list cameras, watch live')
  })

  it('is which account, which key, what for and why', () => {
    lang.value = 'en'
    purposes.value = [{ code: 'duty', zh: '值守', en: 'Duty', needs_note: false }]
    expect(of('subject_update', { id: 'su_1', username: 'wang', changed: { display_name: '王', enabled: false } })).toBe('account wang · changed display_name 王, enabled false')
    expect(of('key_create', { key: 'ke_1', prefix: 'shk_ab', name: 'backup', of: 'wang', actions: null })).toBe('of wang · key backup')
    expect(of('view_start', { view_id: 'v1', profile: 'sub', purpose: 'duty', purpose_note: '2026-17' })).toBe('Sub · purpose Duty · note 2026-17')
    expect(of('refused', { action: 'live', code: 'forbidden', reason: 'no_grant' }, 'refused')).toBe('watch live · reason no_grant')
  })

  it('is empty where no key of it has words; the whole of it is key by key', () => {
    const detail = { view_id: 'v1', counts: { changed: 2 } }
    expect(of('odd', detail)).toBe('')
    expect(detailPairs(detail)).toEqual([{ key: 'view_id', value: 'v1' }, { key: 'counts', value: '{"changed":2}' }])
  })
})
