/** Owns what every page of an e2e test is held to: what axe finds, what the browser complains of, what the server refused. */

import AxeBuilder from '@axe-core/playwright';
import type { Page } from 'playwright-core';

/** What axe finds on the page; with `rules` only those. */
export async function violations(page: Page, rules: readonly string[] = []): Promise<string[]> {
  const axe = new AxeBuilder({ page });
  if (rules.length > 0) axe.withRules([...rules]);
  const { violations: found } = await axe.analyze();
  return found.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(' ')}`);
}

/** The same in both colour schemes; in light only colours are looked at, which are all that differ. */
export async function violationsInBoth(page: Page): Promise<string[]> {
  const dark = await violations(page);
  await page.getByRole('button', { name: 'Use light colours' }).click();
  const light = await violations(page, ['color-contrast']);
  await page.getByRole('button', { name: 'Use dark colours' }).click();
  return [...dark, ...light];
}

/** What goes wrong on a page from now on: errors of scripts, of the console, and answers from 400 on. */
export function watchPage(page: Page): string[] {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  page.on('response', (response) => {
    if (response.status() < 400) return;
    problems.push(`${response.status()} ${response.request().method()} ${new URL(response.url()).pathname}`);
  });
  return problems;
}

/** Nothing wider than the screen: a phone scrolls a page one way only. */
export function isTooWide(page: Page): Promise<boolean> {
  return page.evaluate<boolean>('document.documentElement.scrollWidth > window.innerWidth');
}
