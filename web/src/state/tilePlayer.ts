/** Binds one tile's player to Vue: a plain player inside, shallow refs outside. */
import { onUnmounted, shallowRef, watch, type ShallowRef } from 'vue'
import type { Profile } from '../api'
import { exposePlayer } from '../debug'
import { Player } from '../player/player'
import type { SoundState } from '../player/sound'
import type { PlayerState } from '../player/state'
import type { Change } from '../player/streams'
import { statedFor } from './purpose'
import { api, loseSignIn } from './signin'

/** What a tile is to play; `channelId` null: nothing. */
export interface Wanted {
  readonly channelId: string | null
  readonly profile: Profile
  readonly profiles: readonly Profile[]
  readonly heard: boolean
}

export interface TileView {
  readonly player: Player | null
  readonly state: PlayerState
  readonly viewId: string | null
  readonly profile: Profile | null
  readonly change: Change | null
  readonly sound: SoundState
}

function look(player: Player | null): TileView {
  return {
    player,
    state: player?.state ?? { kind: 'idle' },
    viewId: player?.viewId ?? null,
    profile: player?.profile ?? null,
    change: player?.streams.change ?? null,
    sound: player?.sound.state ?? 'off',
  }
}

/** Plays what `wanted` says for as long as the component lives. */
export function useTilePlayer(
  index: number, wanted: () => Wanted,
): { view: ShallowRef<TileView>; retry: () => void } {
  let player: Player | null = null
  const view = shallowRef(look(player))

  function refresh(): void {
    view.value = look(player)
    exposePlayer(index, player)
  }

  /** The same channel at another profile goes on in its view; another channel is another player. */
  function show({ channelId, profile, profiles, heard }: Wanted): void {
    if (player?.channelId === channelId) {
      player.streams.want(profile)
      player.sound.want(heard)
      return
    }
    leave()
    if (channelId === null) return
    player = new Player({
      channelId, profile, profiles, stated: () => statedFor(channelId), onState: refresh, onUnauthenticated: loseSignIn,
      // Its 401 leads to the form; of another sign-in of this person, the page stands.
      onSignInEnded: () => void api.me(),
    })
    player.sound.want(heard)
    player.open()
  }

  // Says goodbye when the page goes; a page that comes back out of the browser's cache goes on.
  function leave(): void {
    player?.close()
    player = null
    refresh()
  }

  const comeBack = (event: PageTransitionEvent) => event.persisted && show(wanted())

  watch(wanted, show, { immediate: true })
  window.addEventListener('pagehide', leave)
  window.addEventListener('pageshow', comeBack)
  onUnmounted(() => {
    window.removeEventListener('pagehide', leave)
    window.removeEventListener('pageshow', comeBack)
    leave()
  })
  return { view, retry: () => player?.open() }
}
