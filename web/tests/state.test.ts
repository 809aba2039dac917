import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Area, Channel, ChannelPage, ChannelQuery, Me, Result } from '../src/api'
import { h264Profiles, judgeView } from '../src/check/run'
import { ChannelFinder, DEBOUNCE_MS } from '../src/state/channels'
import { readsLogAlone } from '../src/state/signin'
import { AreaIndex, treeMove } from '../src/state/tree'
import { chosenFrom, claimWall, emptyWall, place, profileFor, readWall } from '../src/state/wall'

function area(id: string, parent: string | null): Area {
  return { id, parent_id: parent, kind: 'grid', code: id, name: id, boundary_points: 0, schematic: false, channel_count: 1 }
}

function channel(id: string): Channel {
  return {
    id, code: id, name: id, device_class: 'police_hd', area_id: 'a', area_path: [], enabled: true, filing: 'filed',
    profiles: ['main', 'sub'], may: ['live'], purpose_for: [], lon: null, lat: null,
  }
}

describe('who reads the log alone', () => {
  type Grant = Me['grants'][number]
  const me = (may_audit: boolean, may_manage: boolean, ...grants: Pick<Grant, 'effect' | 'actions'>[]) =>
    readsLogAlone({ may_audit, may_manage, grants: grants as Grant[] })

  it('audits, and may neither manage nor watch anything', () => {
    expect(me(true, false, { effect: 'allow', actions: ['audit', 'list'] })).toBe(true)
    expect(me(true, false, { effect: 'allow', actions: ['audit'] }, { effect: 'deny', actions: ['live'] })).toBe(true)
    expect(me(true, false, { effect: 'allow', actions: ['audit'] }, { effect: 'allow', actions: ['live'] })).toBe(false)
    expect(me(true, true, { effect: 'allow', actions: ['audit', 'manage'] })).toBe(false)
    // A wall without a camera says how one is asked for.
    expect(me(false, false)).toBe(false)
  })
})

describe('area tree', () => {
  const index = new AreaIndex([area('d', null), area('s1', 'd'), area('s2', 'd'), area('c1', 's1'), area('x', 'unseen')])

  it('puts an area whose parent is not visible at the top', () => {
    expect(index.rows(new Set()).map((row) => row.area.id)).toEqual(['d', 'x'])
  })

  it('opens at first down to where there is a choice', () => {
    const narrow = new AreaIndex([area('d', null), area('s', 'd'), area('c1', 's'), area('c2', 's')])
    expect([...narrow.firstExpanded()]).toEqual(['d', 's'])
  })

  it('walks by arrows as the ARIA pattern says', () => {
    const rows = index.rows(new Set(['d', 's1']))
    expect(rows.map((row) => `${row.area.id}${row.level}`)).toEqual(['d1', 's12', 'c13', 's22', 'x1'])
    expect(treeMove(rows, 'd', 'ArrowDown')).toEqual({ kind: 'focus', id: 's1' })
    expect(treeMove(rows, 'd', 'ArrowUp')).toBeNull()
    expect(treeMove(rows, 's1', 'ArrowRight')).toEqual({ kind: 'focus', id: 'c1' })
    expect(treeMove(rows, 's1', 'ArrowLeft')).toEqual({ kind: 'collapse', id: 's1' })
    expect(treeMove(rows, 'c1', 'ArrowLeft')).toEqual({ kind: 'focus', id: 's1' })
    expect(treeMove(rows, 's2', 'ArrowRight')).toBeNull()
    expect(treeMove(index.rows(new Set()), 'd', 'ArrowRight')).toEqual({ kind: 'expand', id: 'd' })
    expect(treeMove(rows, 'c1', 'Enter')).toEqual({ kind: 'choose', id: 'c1' })
    expect(treeMove(rows, 'c1', 'End')).toEqual({ kind: 'focus', id: 'x' })
    expect(treeMove(rows, 'c1', 'q')).toBeNull()
  })
})

describe('wall', () => {
  const chosen = (id: string) => chosenFrom(channel(id))

  it('fills empty tiles first, then replaces the selected one', () => {
    const wall = emptyWall()
    expect(['a', 'b', 'c', 'd'].map((id) => place(wall, chosen(id)))).toEqual([0, 1, 2, 3])
    wall.selected = 1
    expect(place(wall, chosen('e'))).toBe(1)
    expect(wall.tiles.map((tile) => tile?.id)).toEqual(['a', 'e', 'c', 'd'])
  })

  it('does not open a channel twice', () => {
    const wall = emptyWall()
    place(wall, chosen('a'))
    place(wall, chosen('b'))
    expect(place(wall, chosen('a'))).toBe(0)
    expect(wall.selected).toBe(0)
    expect(wall.tiles.filter((tile) => tile !== null)).toHaveLength(2)
  })

  it('plays main in the one tile that fills the wall, sub everywhere else', () => {
    const wall = emptyWall()
    place(wall, chosen('a'))
    place(wall, chosen('b'))
    expect(profileFor(wall, 1)).toBe('sub')
    wall.layout = 1
    expect([0, 1].map((index) => profileFor(wall, index))).toEqual(['sub', 'main'])
    wall.tiles[1] = { ...chosen('b'), profiles: ['sub'] }
    expect(profileFor(wall, 1)).toBe('sub')
    wall.tiles[0] = { ...chosen('a'), profiles: ['main'] }
    expect(profileFor(wall, 0)).toBe('main')
  })

  it('is kept for the same person and emptied for another', () => {
    const wall = emptyWall()
    claimWall(wall, 'su_1')
    place(wall, chosen('a'))
    const stored = readWall(JSON.stringify(wall))
    expect(stored.tiles[0]?.id).toBe('a')
    claimWall(stored, 'su_1')
    expect(stored.tiles[0]?.id).toBe('a')
    claimWall(stored, 'su_2')
    expect(stored.tiles.every((tile) => tile === null)).toBe(true)
  })

  it('reads anything odd as an empty wall', () => {
    for (const stored of [null, '{', '[]', '{"tiles":[{"id":1}],"selected":9,"layout":7}']) {
      expect(readWall(stored)).toEqual(emptyWall())
    }
  })
})

describe('channel finder', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  function finder() {
    const asked: ChannelQuery[] = []
    const pending: ((result: Result<ChannelPage>) => void)[] = []
    const made = new ChannelFinder({
      channels: (query, signal) => {
        asked.push(query)
        return new Promise((resolve) => {
          pending.push(resolve)
          signal?.addEventListener('abort', () => resolve({ kind: 'aborted' }))
        })
      },
    })
    const answer = async (page: ChannelPage) => {
      pending.at(-1)?.({ kind: 'success', value: page })
      await vi.advanceTimersByTimeAsync(0)
    }
    return { made, asked, pending, answer }
  }
  const page = (ids: string[], next: string | null = null) =>
    ({ items: ids.map(channel), next_cursor: next, total: ids.length, total_capped: false })

  it('asks once for a name typed quickly', async () => {
    const { made, asked } = finder()
    for (const text of ['x', 'xi', 'xin']) made.search(text, null, 'reviewed')
    await vi.advanceTimersByTimeAsync(DEBOUNCE_MS)
    expect(asked.map(({ q, filing }) => [q, filing])).toEqual([['xin', 'reviewed']])
  })

  it('a newer question cancels the older, whose answer changes nothing', async () => {
    const { made, pending, answer } = finder()
    void made.ask('old', null)
    void made.ask('new', null)
    await answer(page(['n']))
    pending[0]?.({ kind: 'success', value: page(['o']) })
    await vi.advanceTimersByTimeAsync(0)
    expect(made.list.items.map((item) => item.id)).toEqual(['n'])
    expect(made.list.loading).toBe(false)
  })

  it('adds further pages under the same question', async () => {
    const { made, asked, answer } = finder()
    void made.ask('q', 'ar', 'draft')
    await answer(page(['a'], 'c1'))
    void made.more()
    await answer(page(['b']))
    expect(asked[1]).toMatchObject({ q: 'q', areaId: 'ar', filing: 'draft', cursor: 'c1' })
    expect(made.list.items.map((item) => item.id)).toEqual(['a', 'b'])
    await made.more()
    expect(asked).toHaveLength(2)
  })

  it('knows where the counting ceased, and forgets it with the next question', async () => {
    const { made, answer } = finder()
    void made.ask('lukou', null)
    await answer({ ...page(['a'], 'c1'), total: 1000, total_capped: true })
    expect(made.list).toMatchObject({ total: 1000, totalCapped: true })
    void made.ask('lukou3', null)
    await answer(page(['a']))
    expect(made.list).toMatchObject({ total: 1, totalCapped: false })
  })

  it('keeps what it has when a further page fails, and can try again', async () => {
    const { made, pending, asked, answer } = finder()
    void made.ask('', null)
    await answer(page(['a'], 'c1'))
    void made.more()
    pending.at(-1)?.({ kind: 'error', error: { status: 500, code: 'x', detail: null, retryAfterMs: null } })
    await vi.advanceTimersByTimeAsync(0)
    expect(made.list.items).toHaveLength(1)
    expect(made.list.error?.code).toBe('x')
    void made.retry()
    expect(asked.at(-1)?.cursor).toBe('c1')
  })
})

describe('can I watch', () => {
  const path = { protocol: 'udp', remote: '10.0.0.1:8189', roundTripMs: 1, srtpCipher: 'AEAD_AES_256_GCM' }
  const media = { packets: 9, bytes: 9, retransmitted: 0, picturesDecoded: 2, width: 640, height: 360, picturesPerSecond: null, soundPackets: 0, lastPacketAgeMs: null }
  const opening = { kind: 'opening', step: 'ask', startedAtMs: 0, marks: [] } as const
  const lost = (reason: string, retriedBy: 'camera' | 'view') =>
    ({ kind: 'lost', retriedBy, reason, detail: null, step: null, atMs: 0, retryAtMs: null, lastPacketAtMs: null }) as const

  it('reads the H.264 profiles and nothing else', () => {
    const codecs = [
      { mimeType: 'video/VP8', clockRate: 90000 },
      { mimeType: 'video/H264', clockRate: 90000, sdpFmtpLine: 'packetization-mode=1;profile-level-id=42e01f' },
      { mimeType: 'video/H264', clockRate: 90000, sdpFmtpLine: 'packetization-mode=0;profile-level-id=42e01f' },
    ]
    expect(h264Profiles({ codecs, headerExtensions: [] })).toEqual(['42e01f'])
    expect(h264Profiles(null)).toEqual([])
  })

  it('passes when pictures came over UDP', () => {
    const state = { kind: 'live', lastPacketAtMs: 1, warning: null } as const
    const { udp, picture } = judgeView({ state, lastStep: 'play', path, media }, 'A')
    expect(udp).toMatchObject({ kind: 'pass', params: { protocol: 'UDP', remote: '10.0.0.1:8189' } })
    expect(picture).toMatchObject({ kind: 'pass', params: { name: 'A', n: 2 } })
  })

  it('does not blame the network for a camera', () => {
    const { udp, picture } = judgeView({ state: lost('auth_failed', 'camera'), lastStep: 'dtls', path, media: null }, 'A')
    expect(udp.kind).toBe('pass')
    expect(picture).toEqual({ kind: 'skip', cause: { kind: 'camera', reason: 'auth_failed', fromCamera: true } })
  })

  it('tells UDP that does not get through from a view that was refused', () => {
    const blocked = judgeView({ state: opening, lastStep: 'ask', path: null, media: null }, 'A')
    expect(blocked.udp).toEqual({ kind: 'fail', cause: { kind: 'stopped', step: 'ask' } })
    const failed = judgeView({ state: lost('ice_failed', 'view'), lastStep: 'permit', path: null, media: null }, 'A')
    expect(failed.udp).toMatchObject({ cause: { kind: 'stopped' } })
    const full = judgeView({ state: lost('over_capacity', 'view'), lastStep: 'ask', path: null, media: null }, 'A')
    expect(full.udp).toMatchObject({ cause: { kind: 'refused', reason: 'over_capacity' } })
  })

  it('tells data without pictures', () => {
    const dark = { ...media, picturesDecoded: 0 }
    const { picture } = judgeView({ state: opening, lastStep: 'first_sent', path, media: dark }, 'A')
    expect(picture).toMatchObject({ kind: 'fail', cause: { kind: 'browser', reason: 'not_decoded' } })
  })
})
