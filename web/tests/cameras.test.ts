import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { customRef, effectScope, nextTick, shallowRef, type EffectScope, type Ref } from 'vue'
import type { Channel, ChannelPage, ChannelQuery, Result } from '../src/api'
import type { CameraPick } from '../src/log/filter'
import { grantsAt } from '../src/manage/people'
import { useCameraField, type CameraField } from '../src/state/cameraField'
import { DEBOUNCE_MS } from '../src/state/channels'
import { RIGHTS } from '../src/state/route'

function channel(id: string, name: string): Channel {
  return {
    id, code: `code-${id}`, name, device_class: 'police_hd', area_id: 'a', area_path: [], enabled: true, filing: 'filed',
    profiles: ['main'], may: ['live'], purpose_for: [], lon: null, lat: null,
  }
}

const EAST = channel('1', '东口')
const WEST = channel('2', '西口')

/** As a component's model is: what it is set to it has once its parent has rendered. */
function model<T>(initial: T): Ref<T> {
  let value = initial
  return customRef((track, trigger) => ({
    get: () => {
      track()
      return value
    },
    set: (next) => {
      void nextTick(() => {
        value = next
        trigger()
      })
    },
  }))
}

describe('a camera in a field', () => {
  let scope: EffectScope
  let pages: Record<string, { readonly items: Channel[]; readonly more?: true }>
  let asked: string[]
  let pick: Ref<CameraPick>
  let camera: Ref<Channel | null>
  let field: CameraField

  const api = {
    channels: ({ q = '' }: ChannelQuery): Promise<Result<ChannelPage>> => {
      asked.push(q)
      const { items, more } = pages[q] ?? { items: [] }
      return Promise.resolve({ kind: 'success', value: { items, next_cursor: more ? 'more' : null, total: items.length, total_capped: false } })
    },
  }

  /** Typed, and answered. */
  async function type(text: string): Promise<void> {
    field.type(text)
    await vi.advanceTimersByTimeAsync(2 * DEBOUNCE_MS)
  }

  beforeEach(() => {
    vi.useFakeTimers()
    asked = []
    pages = { 口: { items: [EAST, WEST] }, 东口: { items: [EAST] }, 西口: { items: [WEST] }, [EAST.code]: { items: [EAST] }, [WEST.code]: { items: [WEST] } }
    scope = effectScope()
    scope.run(() => {
      pick = model<CameraPick>({ typed: '', id: null })
      camera = shallowRef(null)
      field = useCameraField(pick, camera, api)
    })
  })
  afterEach(() => {
    scope.stop()
    vi.useRealTimers()
  })

  it('is known by its code, and by a name that no other has', async () => {
    await type(EAST.code)
    expect([pick.value, camera.value, field.chosen.value]).toEqual([{ typed: EAST.code, id: '1' }, EAST, EAST])
    await type('西口')
    expect([pick.value, camera.value]).toEqual([{ typed: '西口', id: '2' }, WEST])
    await type('南口')
    expect([pick.value.id, camera.value, field.missing.value]).toEqual([null, null, true])
  })

  it('is looked for when another is pasted over it', async () => {
    await type(EAST.code)
    await type(WEST.code)
    expect(asked).toEqual([EAST.code, WEST.code])
    expect(pick.value.id).toBe('2')
  })

  it('is taken at once, without another question, where it was found already', async () => {
    await type('口')
    await type(WEST.code)
    expect([pick.value.id, asked]).toEqual(['2', ['口']])
  })

  it('is not known by a name of which there may be more', async () => {
    pages['东口'] = { items: [EAST], more: true }
    await type('东口')
    expect([pick.value.id, camera.value]).toEqual([null, null])
    await type(EAST.code)
    expect(pick.value.id).toBe('1')
  })

  it('is not known by its name among those that were found for something else', async () => {
    pages['东'] = { items: [EAST] }
    pages['东口'] = { items: [EAST, channel('3', '东口')] }
    await type('东')
    field.type('东口')
    await nextTick()
    expect(pick.value.id).toBeNull()
    await vi.advanceTimersByTimeAsync(2 * DEBOUNCE_MS)
    expect([pick.value.id, asked]).toEqual([null, ['东', '东口']])
  })

  it('that comes with an id is left as it is', async () => {
    await type('口')
    pick.value = { typed: '北口', id: '9' }
    await vi.advanceTimersByTimeAsync(2 * DEBOUNCE_MS)
    expect([pick.value.id, camera.value, asked, field.missing.value]).toEqual(['9', null, ['口'], false])
    pick.value = { typed: WEST.code, id: null }
    await vi.advanceTimersByTimeAsync(2 * DEBOUNCE_MS)
    expect([pick.value.id, camera.value]).toEqual(['2', WEST])
  })
})

describe('what is listed by place', () => {
  const route = { area: '110112', camera: 'ch_1' }
  const areaId = (code: string) => (code === '110112' ? 'ar_1' : null)

  it.each<[Parameters<typeof grantsAt>[1], Parameters<typeof grantsAt>[2], ReturnType<typeof grantsAt>]>([
    ['area', { area: ' 110112 ', camera: null }, { areaId: 'ar_1' }],
    ['area', { area: '1101', camera: 'ch_1' }, null],
    ['camera', { area: '110112', camera: 'ch_1' }, { channelId: 'ch_1' }],
    // Another's name is half typed: the grants of the one before would stand under it.
    ['camera', { area: '', camera: null }, null],
    ['camera', { area: '', camera: 'ch_2' }, null],
  ])('is what its field holds: %s %o', (kind, held, listed) => {
    expect(grantsAt(route, kind, held, areaId)).toEqual(listed)
  })

  it('is nothing where no place is chosen', () => {
    expect(grantsAt(RIGHTS, 'area', { area: '', camera: null }, areaId)).toBeNull()
    expect(grantsAt(RIGHTS, 'camera', { area: '', camera: null }, areaId)).toBeNull()
  })
})
