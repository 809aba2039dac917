/**
 * Which channels are on the wall, and how it is laid out. Survives a lost sign-in and a reload of
 * this window (sessionStorage); another person's sign-in, or a sign-out, empties it.
 * Not here: players (each tile owns its own).
 */
import { reactive, watch } from 'vue'
import type { Channel, Profile } from '../api'

export const TILE_COUNT = 4
const STORAGE_KEY = 'streamhub.wall'

/** What a tile needs to know of its channel, kept small: it is stored. */
export interface Chosen {
  readonly id: string
  readonly name: string
  readonly profiles: readonly Profile[]
  readonly maySnapshot: boolean
  readonly maySteer: boolean
  readonly mayManage: boolean
  /** Whether its picture, or a still, asks what for. */
  readonly asksLive: boolean
  readonly asksStill: boolean
}

export interface WallState {
  layout: 1 | 4
  selected: number
  tiles: (Chosen | null)[]
  subjectId: string | null
}

export function emptyWall(): WallState {
  return { layout: 4, selected: 0, tiles: Array<Chosen | null>(TILE_COUNT).fill(null), subjectId: null }
}

export function chosenFrom(channel: Channel): Chosen {
  const { id, name, profiles, may, purpose_for: asked } = channel
  const rights = { maySnapshot: may.includes('snapshot'), maySteer: may.includes('ptz'), mayManage: may.includes('manage') }
  return { id, name, profiles, ...rights, asksLive: asked.includes('live'), asksStill: asked.includes('snapshot') }
}

/** Puts a channel on the wall: where it is already, else an empty tile, else the selected one. */
export function place(wall: WallState, chosen: Chosen): number {
  const present = wall.tiles.findIndex((tile) => tile?.id === chosen.id)
  if (present >= 0) {
    wall.selected = present
    return present
  }
  let index = wall.selected
  if (wall.layout === 4 && wall.tiles[index] !== null) {
    const empty = wall.tiles.findIndex((tile) => tile === null)
    if (empty >= 0) index = empty
  }
  wall.tiles[index] = chosen
  wall.selected = index
  return index
}

/** The main stream only for the one tile that fills the wall: at most one main per wall. */
export function profileFor(wall: WallState, index: number): Profile {
  const profiles = wall.tiles[index]?.profiles ?? ['sub']
  const wanted: Profile = wall.layout === 1 && wall.selected === index ? 'main' : 'sub'
  return profiles.includes(wanted) ? wanted : (profiles[0] ?? 'sub')
}

/** Reads a stored wall back; anything that is not one is an empty wall. */
export function readWall(stored: string | null): WallState {
  const wall = emptyWall()
  if (stored === null) return wall
  try {
    const raw = JSON.parse(stored) as Partial<WallState>
    if (raw.layout === 1) wall.layout = 1
    if (typeof raw.subjectId === 'string') wall.subjectId = raw.subjectId
    if (typeof raw.selected === 'number' && raw.selected in wall.tiles) wall.selected = raw.selected
    wall.tiles = wall.tiles.map((_, index) => readTile(raw.tiles?.[index]))
  } catch {
    return emptyWall()
  }
  return wall
}

function readTile(raw: Partial<Chosen> | null | undefined): Chosen | null {
  if (typeof raw?.id !== 'string' || typeof raw.name !== 'string') return null
  const profiles = Array.isArray(raw.profiles) ? raw.profiles : ['sub' as const]
  // What an older page stored says nothing of steering, nor of purposes.
  const { id, name, maySnapshot = false, maySteer = false, mayManage = false, asksLive = false, asksStill = false } = raw
  return { id, name, profiles, maySnapshot, maySteer, mayManage, asksLive, asksStill }
}

/** Somebody signed in: keeps the wall if it is theirs, else starts an empty one. */
export function claimWall(wall: WallState, subjectId: string): void {
  if (wall.subjectId !== subjectId) Object.assign(wall, emptyWall(), { subjectId })
}

export const wall = reactive(emptyWall())

export function startWall(): void {
  Object.assign(wall, readWall(sessionStorage.getItem(STORAGE_KEY)))
  watch(wall, () => sessionStorage.setItem(STORAGE_KEY, JSON.stringify(wall)), { deep: true })
}
