/** Binds one tile's switcher to Vue: plain players inside, shallow refs outside. */
import { onUnmounted, shallowRef, watch, type ShallowRef } from 'vue'
import type { Profile } from '../api'
import { exposePlayer } from '../debug'
import type { Player } from '../player/player'
import type { PlayerState } from '../player/state'
import { Switcher } from '../player/switcher'
import { loseSignIn } from './signin'

export interface TileView {
  readonly players: readonly Player[]
  readonly state: PlayerState
  readonly viewId: string | null
  readonly profile: Profile | null
  /** The player that is to take over, while it is being opened or after it failed. */
  readonly next: { readonly profile: Profile; readonly state: PlayerState } | null
  readonly size: { readonly width: number; readonly height: number; readonly rate: number | null } | null
}

function look(switcher: Switcher): TileView {
  const { current, next, players } = switcher
  const sample = current?.sample ?? null
  return {
    players,
    state: current?.state ?? { kind: 'idle' },
    viewId: current?.viewId ?? null,
    profile: current?.profile ?? null,
    next: next === null ? null : { profile: next.profile, state: next.state },
    size: sample === null || sample.width === 0
      ? null
      : { width: sample.width, height: sample.height, rate: sample.picturesPerSecond },
  }
}

/** Plays what `wanted` says for as long as the component lives. */
export function useTilePlayer(
  index: number, wanted: () => { channelId: string | null; profile: Profile },
): { view: ShallowRef<TileView>; retry: () => void } {
  const switcher: Switcher = new Switcher({
    onChange: () => {
      view.value = look(switcher)
      exposePlayer(index, switcher.current)
    },
    onUnauthenticated: loseSignIn,
  })
  const view = shallowRef(look(switcher))
  watch(wanted, ({ channelId, profile }) => switcher.show(channelId, profile), { immediate: true })

  // Says goodbye when the page goes; a page that comes back out of the browser's cache goes on.
  const leave = () => switcher.close()
  const comeBack = (event: PageTransitionEvent) => {
    const { channelId, profile } = wanted()
    if (event.persisted) switcher.show(channelId, profile)
  }
  window.addEventListener('pagehide', leave)
  window.addEventListener('pageshow', comeBack)
  onUnmounted(() => {
    window.removeEventListener('pagehide', leave)
    window.removeEventListener('pageshow', comeBack)
    switcher.close()
  })
  return { view, retry: () => switcher.retry() }
}
