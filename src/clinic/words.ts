/** Owns what a word is to search: letters and digits in a row, however it was written; Latin accents do not count, and ß is ss. */

const WORD_CHARACTERS = 64;

/** Text without what does not count: case, width, Latin accents; ß is ss. */
export function foldText(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/[\u0300-\u036f]/g, '')
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll('ß', 'ss');
}

/** The different words of a text, at most `maximum` of them; what follows is not searched. */
export function wordsOf(text: string, maximum: number): string[] {
  const words = new Set<string>();
  for (const [word] of foldText(text).matchAll(/[\p{L}\p{M}\p{N}]+/gu)) {
    // By code points, so that no character is cut in two.
    words.add(word.length <= WORD_CHARACTERS ? word : Array.from(word).slice(0, WORD_CHARACTERS).join(''));
    if (words.size >= maximum) break;
  }
  return [...words];
}
