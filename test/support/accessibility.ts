/**
 * Owns the question whether a page in the browser is accessible: axe's rules, all of them or some. Our pages have no
 * frames, so axe runs within the page alone; otherwise it opens a second page for each answer, which takes twice as long.
 */

import AxeBuilder from '@axe-core/playwright';
import type { Page } from 'playwright-core';

/** What breaks a rule, a line each with its elements; `rules` are axe's names, all when empty. */
export async function violations(page: Page, rules: readonly string[] = []): Promise<string[]> {
  if (page.frames().length > 1) throw new Error('a page with frames is judged only in part');
  const axe = new AxeBuilder({ page }).setLegacyMode();
  if (rules.length > 0) axe.withRules([...rules]);
  const { violations: found } = await axe.analyze();
  return found.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(' ')}`);
}
