import { expect, test } from 'vitest';

import { generateFiles, readGenerated } from '../../scripts/generate.ts';

test('generated files are current: node scripts/generate.ts writes them', async () => {
  const files = await generateFiles();
  expect(files.length).toBeGreaterThan(0);
  for (const { path, text } of files)
    expect({ path, text: await readGenerated(path) }).toEqual({ path, text });
});
