/** Which tile of the wall is heard: one at most, and none that is not seen. Not kept over a reload,
 * as browsers play sound only after somebody asked for it. */
import { ref } from 'vue'
import { wall } from './wall'

const sounding = ref<number | null>(null)

export function isHeard(index: number): boolean {
  return sounding.value === index && (wall.layout === 4 || wall.selected === index)
}

export function hear(index: number, on: boolean): void {
  if (on) sounding.value = index
  else if (sounding.value === index) sounding.value = null
}
