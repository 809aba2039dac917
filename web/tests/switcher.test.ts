import { describe, expect, it } from 'vitest'
import type { PlayerOptions } from '../src/player/options'
import type { Player } from '../src/player/player'
import type { PlayerState } from '../src/player/state'
import { Switcher } from '../src/player/switcher'
import { last } from './fakes'

class StubPlayer {
  state: PlayerState = { kind: 'idle' }
  closed = false
  opens = 0
  readonly channelId: string
  readonly profile: string
  constructor(private readonly options: PlayerOptions) {
    this.channelId = options.channelId
    this.profile = options.profile
  }
  open(): void {
    this.opens += 1
    this.become({ kind: 'opening', step: 'offer', startedAtMs: 0, marks: [] })
  }
  close(): void {
    this.closed = true
  }
  become(state: PlayerState): void {
    this.state = state
    this.options.onState(state)
  }
}

const live: PlayerState = { kind: 'live', lastPacketAtMs: 1, warning: null }

function bench() {
  const made: StubPlayer[] = []
  let changes = 0
  const switcher = new Switcher({
    onChange: () => (changes += 1),
    makePlayer: (options) => {
      const player = new StubPlayer(options)
      made.push(player)
      return player as unknown as Player
    },
  })
  const glass = () => switcher.current as unknown as StubPlayer | null
  return { switcher, made, glass, changes: () => changes }
}

describe('switcher', () => {
  it('keeps the sub stream on the glass until the main stream is live', () => {
    const { switcher, made, glass } = bench()
    switcher.show('ch_1', 'sub')
    last(made).become(live)
    switcher.show('ch_1', 'main')
    expect(glass()?.profile).toBe('sub')
    expect(switcher.players).toHaveLength(2)
    last(made).become(live)
    expect(glass()?.profile).toBe('main')
    expect(made[0]?.closed).toBe(true)
    expect(switcher.players).toHaveLength(1)
  })

  it('going back before the main stream came costs nothing', () => {
    const { switcher, made, glass } = bench()
    switcher.show('ch_1', 'sub')
    last(made).become(live)
    switcher.show('ch_1', 'main')
    switcher.show('ch_1', 'sub')
    expect(made).toHaveLength(2)
    expect(made[1]?.closed).toBe(true)
    expect(glass()).toBe(made[0])
  })

  it('a refused main stream leaves the sub stream where it is', () => {
    const { switcher, made, glass } = bench()
    switcher.show('ch_1', 'sub')
    last(made).become(live)
    switcher.show('ch_1', 'main')
    last(made).become({ kind: 'refused', reason: 'not_found', detail: null, atMs: 0 })
    expect(glass()?.profile).toBe('sub')
    expect(switcher.next?.state.kind).toBe('refused')
  })

  it('replaces at once what shows nothing yet, and another channel always', () => {
    const { switcher, made } = bench()
    switcher.show('ch_1', 'sub')
    switcher.show('ch_1', 'main')
    expect(switcher.players).toHaveLength(1)
    switcher.show('ch_2', 'main')
    expect(made.map((player) => player.closed)).toEqual([true, true, false])
  })

  it('shows nothing when asked to, and tells of each change', () => {
    const { switcher, made, changes } = bench()
    switcher.show('ch_1', 'sub')
    switcher.show(null, 'sub')
    expect(last(made).closed).toBe(true)
    expect(switcher.players).toHaveLength(0)
    expect(changes()).toBeGreaterThanOrEqual(3)
  })
})
