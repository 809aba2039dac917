/** Filing in the mocked service: steps, their refusals, and what the site chose. */
import { stepsFrom, type Filing, type FilingSettings, type FilingStep } from '../src/manage/filing'
import { channels, isWithin } from './data.ts'
import { importedIds, noteVersion, ok, refuse, type Answer } from './manage.ts'

interface Order { step: FilingStep; reason?: string; channel_ids?: string[]; area_id?: string; import_id?: string; without_own: boolean }

const TO: Readonly<Record<FilingStep, Filing>> = { review: 'reviewed', file: 'filed', refuse: 'draft', reopen: 'draft' }
const notes = new Map<string, string>()
let settings: FilingSettings = { second_person: true, by_hand: 'filed' }

export function filingNote(channelId: string): string | null {
  return notes.get(channelId) ?? null
}

export function settingsAnswer(method: string, body: string): Answer {
  if (method === 'PUT') settings = { ...settings, ...(JSON.parse(body) as Partial<FilingSettings>) }
  return ok(settings)
}

/** The newest of two may not be reviewed by `admin`, who changed it last: to see that refusal. */
const OWN = 'ch_11'

export function filingAnswer(body: string): Answer {
  const order = JSON.parse(body) as Order
  const brought = order.import_id === undefined ? null : importedIds(order.import_id)
  const named = order.channel_ids !== undefined
  let chosen = channels.filter((each) => (order.channel_ids?.includes(each.id) ?? true) && (order.area_id === undefined || isWithin(each.area_id, order.area_id)) && (brought?.includes(each.id) ?? true))
  const asked = chosen.length
  const unfit = chosen.filter((each) => !stepsFrom(each.filing).includes(order.step))
  const [first] = unfit
  if (named && first !== undefined) return refuse(409, 'wrong_filing_state', `${first.name} (${first.code}) is ${first.filing}; it can't be taken a step '${order.step}' from there.`, 'filing')
  chosen = chosen.filter((each) => !unfit.includes(each))
  const own = order.step === 'review' && settings.second_person ? chosen.filter((each) => each.id === OWN) : []
  if (own.length > 0 && !order.without_own) return refuse(409, 'second_person_wanted', 'You were the last to change 1 of these; somebody else has to review it, or leave your own out.', 'filing')
  chosen = chosen.filter((each) => !own.includes(each))
  for (const channel of chosen) {
    const index = channels.indexOf(channel)
    channels[index] = { ...channel, filing: TO[order.step] }
    if (order.reason === undefined) notes.delete(channel.id)
    else notes.set(channel.id, order.reason)
    noteVersion(channel.id, `channel_${order.step}`, [{ field: 'filing', before: channel.filing, after: TO[order.step] }], () => (channels[index] = channel))
  }
  return ok({ changed: chosen.length, left_out: asked - chosen.length })
}
