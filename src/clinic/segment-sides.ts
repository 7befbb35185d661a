/** Owns what a name of a body segment, or of a device, says about left and right: "Left Foot", "foot_r", "leftShank". */

export interface SidedName {
  readonly side: 'left' | 'right';
  /** What is on both sides, in one spelling. */
  readonly part: string;
}

const sideWords: Readonly<Record<string, 'left' | 'right'>> = {
  left: 'left',
  l: 'left',
  right: 'right',
  r: 'right',
};

/** Null: it names no side, or both. */
export function sideOf(name: string): SidedName | null {
  const words = name
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
  const sides = words.flatMap((word) => (Object.hasOwn(sideWords, word) ? [sideWords[word]!] : []));
  if (sides.length !== 1) return null;
  const part = words.filter((word) => !Object.hasOwn(sideWords, word)).toSorted();
  return { side: sides[0]!, part: part.join('-') };
}

/** Whether two names mean the same segment on different sides. */
export function areOpposite(a: string, b: string): boolean {
  const [one, other] = [sideOf(a), sideOf(b)];
  return one !== null && other !== null && one.part === other.part && one.side !== other.side;
}
