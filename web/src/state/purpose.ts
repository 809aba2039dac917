/**
 * What one said that one looks at a channel for. Kept in this window's memory for as long as the
 * sign-in lasts; a reload asks again. Not here: the question's form (`PurposeQuestion`).
 */
import { reactive, shallowRef } from 'vue'
import type { Purpose, Stated } from '../api'
import { lang } from '../i18n'

/** A tile that shows nothing until it is said what for. */
export interface Waiting {
  readonly id: string
  readonly name: string
}

/** The district's list, for who reads what was said; see `purposeText`. */
export const purposes = shallowRef<readonly Purpose[]>([])

/** A purpose in words; its code, where the list has it no longer. */
export function purposeText(code: string): string {
  return purposes.value.find((each) => each.code === code)?.[lang.value] ?? code
}

const answers = reactive(new Map<string, Stated>())

/** By the tile's index. */
export const waiting = reactive(new Map<number, Waiting>())

export function statedFor(channelId: string): Stated | null {
  return answers.get(channelId) ?? null
}

export function answer(channelIds: Iterable<string>, stated: Stated): void {
  for (const id of channelIds) answers.set(id, stated)
}

/** The service does not take it, or takes it no longer. */
export function forget(channelId: string): void {
  answers.delete(channelId)
}

export function forgetAll(): void {
  answers.clear()
}

/**
 * Where the one question for all that wait stands: in the tile that fills the wall, where that waits;
 * else in the first that does. Null: nowhere.
 */
export function askingTile(tiles: Iterable<number>, layout: 1 | 4, selected: number): number | null {
  const all = [...tiles]
  if (layout === 1) return all.includes(selected) ? selected : null
  return all.length === 0 ? null : Math.min(...all)
}

/** Refusals that an answer mends. */
export function asksWhatFor(code: string): boolean {
  return code === 'purpose_required' || code === 'purpose_note_required'
}
