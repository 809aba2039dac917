/** An area is meant by its code, or by a name that no other has. */
import { describe, expect, it } from 'vitest'
import type { Area } from '../src/api'
import { areaFound, areas } from '../src/state/manage'

const area = (code: string, name: string) => ({ id: `ar_${code}`, code, name, parent_id: null }) as Area

describe('what is typed for an area', () => {
  areas.value = [area('110112005', '永顺镇'), area('110112006', '西营'), area('110112007', '西营'), area('110112008', '110112005')]

  it.each([
    ['110112006', { kind: 'one', code: '110112006' }],
    [' 永顺镇 ', { kind: 'one', code: '110112005' }],
    ['110112005', { kind: 'one', code: '110112005' }],
    ['永顺', { kind: 'none', code: '永顺' }],
    ['', { kind: 'none', code: '' }],
  ] as const)('%j is %j', (typed, found) => {
    expect(areaFound(typed)).toEqual(found)
  })

  it('is none in particular where several have the name', () => {
    expect(areaFound('西营')).toMatchObject({ kind: 'several', code: '西营', of: [{ code: '110112006' }, { code: '110112007' }] })
  })
})
