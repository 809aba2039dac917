/** Hold to move: repeated while it is held, stopped when it is let go, one request at a time. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ApiError, Result } from '../src/api'
import { Hold, REPEAT_MS, velocityOf, type Act, type Acted } from '../src/state/steer'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const RIGHT = { pan: 0.5, tilt: 0, zoom: 0 }
const UP = { pan: 0, tilt: 0.5, zoom: 0 }
const OK: Result<Acted> = { kind: 'success', value: { steered: null, renew_within_ms: 750 } }

function refusal(code: string): Result<never> {
  return { kind: 'error', error: { status: 409, code, detail: null, retryAfterMs: null } }
}

class Camera {
  readonly told: Act[] = []
  readonly errors: (ApiError | null)[] = []
  answer: Result<Acted> = OK
  takesMs = 20
  readonly hold = new Hold(
    {
      act: async (act) => {
        this.told.push(act)
        await new Promise((resolve) => setTimeout(resolve, this.takesMs))
        return this.answer
      },
    },
    (error) => this.errors.push(error),
  )

  get acts(): string[] {
    return this.told.map((act) => act.act)
  }
}

describe('hold to move', () => {
  it('is repeated while it is held, and stopped once', async () => {
    const camera = new Camera()
    camera.hold.press(RIGHT)
    await vi.advanceTimersByTimeAsync(4 * (REPEAT_MS + camera.takesMs) - 1)
    expect(camera.acts).toEqual(['move', 'move', 'move', 'move'])
    expect(camera.told[0]).toEqual({ act: 'move', pan: 0.5, tilt: 0 })
    camera.hold.release()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(camera.acts.slice(4)).toEqual(['stop'])
  })

  it('takes another direction at once, within the same move', async () => {
    const camera = new Camera()
    camera.hold.press(RIGHT)
    await vi.advanceTimersByTimeAsync(camera.takesMs + 1)
    camera.hold.press(UP)
    await vi.advanceTimersByTimeAsync(1)
    expect(camera.told).toEqual([{ act: 'move', pan: 0.5, tilt: 0 }, { act: 'move', pan: 0, tilt: 0.5 }])
  })

  it('never lets a stop overtake the next move', async () => {
    const camera = new Camera()
    camera.takesMs = 300
    camera.hold.press(RIGHT)
    camera.hold.release()
    await vi.advanceTimersByTimeAsync(310) // the stop is under way
    camera.hold.press(UP)
    await vi.advanceTimersByTimeAsync(280)
    expect(camera.acts).toEqual(['move', 'stop'])
    await vi.advanceTimersByTimeAsync(20)
    expect(camera.acts).toEqual(['move', 'stop', 'move'])
  })

  it('gives up where the camera refuses, and stops it; not where somebody else steers', async () => {
    const camera = new Camera()
    camera.answer = refusal('device_refused')
    camera.hold.press(RIGHT)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(camera.acts).toEqual(['move', 'stop'])
    expect(camera.hold.held).toBe(false)
    camera.answer = refusal('ptz_held')
    camera.hold.press(RIGHT)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(camera.acts).toEqual(['move', 'stop', 'move'])
    expect(camera.errors.at(-1)?.code).toBe('ptz_held')
  })
})

describe('keys', () => {
  it('add up, and stand still against each other', () => {
    expect(velocityOf(['ArrowUp', 'ArrowRight'], 0.5)).toEqual({ pan: 0.5, tilt: 0.5, zoom: 0 })
    expect(velocityOf(['ArrowLeft', 'ArrowRight'], 0.5)).toBeNull()
    expect(velocityOf(['+', '='], 1)).toEqual({ pan: 0, tilt: 0, zoom: 1 })
    expect(velocityOf(['a'], 1)).toBeNull()
  })
})
