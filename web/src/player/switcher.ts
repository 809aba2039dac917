/**
 * What one tile shows: a channel at the profile it wants, changed without a flash. The old player
 * stays on the glass until the new one is live; only then is it closed.
 * Belongs here: which players exist. Not here: what a player does.
 */
import type { Profile } from '../api'
import type { PlayerOptions } from './options'
import { Player } from './player'

export type MakePlayer = (options: PlayerOptions) => Player

export interface SwitcherOptions {
  readonly onChange: () => void
  readonly onUnauthenticated?: () => void
  readonly makePlayer?: MakePlayer
}

export class Switcher {
  /** On the glass. */
  current: Player | null = null
  /** Being opened behind it, at another profile. */
  next: Player | null = null
  private readonly make: MakePlayer

  constructor(private readonly options: SwitcherOptions) {
    this.make = options.makePlayer ?? ((playerOptions) => new Player(playerOptions))
  }

  get players(): readonly Player[] {
    return [this.current, this.next].filter((player) => player !== null)
  }

  /** Shows the channel at the profile; null shows nothing. */
  show(channelId: string | null, profile: Profile): void {
    if (channelId === null || this.current?.channelId !== channelId) {
      this.close()
      if (channelId !== null) {
        this.current = this.start(channelId, profile)
        this.options.onChange()
      }
      return
    }
    if (this.next?.profile === profile) return
    this.next?.close()
    this.next = null
    if (this.current.profile !== profile) {
      if (this.current.state.kind === 'live') {
        this.next = this.start(channelId, profile)
      } else {
        // Nothing worth keeping is on the glass.
        this.current.close()
        this.current = this.start(channelId, profile)
      }
    }
    this.options.onChange()
  }

  retry(): void {
    this.current?.open()
  }

  close(): void {
    this.next?.close()
    this.current?.close()
    this.next = null
    this.current = null
    this.options.onChange()
  }

  private start(channelId: string, profile: Profile): Player {
    const { onUnauthenticated } = this.options
    const player = this.make({
      channelId,
      profile,
      onState: () => this.onState(player),
      ...(onUnauthenticated && { onUnauthenticated }),
    })
    player.open()
    return player
  }

  private onState(player: Player): void {
    if (player === this.next && player.state.kind === 'live') {
      this.current?.close()
      this.current = player
      this.next = null
    }
    // The first state comes from within start(), before the player has its place.
    if (player === this.current || player === this.next) this.options.onChange()
  }
}
