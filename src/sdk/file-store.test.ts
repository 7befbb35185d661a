import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach } from 'vitest';

import { testDeviceStoreConformance } from '#sdk/device-store-conformance.ts';
import type { DeviceStore } from '#sdk/device-store.ts';
import { fileStore } from '#sdk/file-store.ts';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kymo-store-'));
  directories.push(directory);
  return directory;
}

const placeOf = new WeakMap<DeviceStore, { directory: string; maxBytes: number }>();

function openAt(directory: string, maxBytes: number): DeviceStore {
  const store = fileStore(directory, { maxBytes });
  placeOf.set(store, { directory, maxBytes });
  return store;
}

testDeviceStoreConformance({
  create: (maxBytes) => openAt(newDirectory(), maxBytes),
  reopen: (store) => {
    const { directory, maxBytes } = placeOf.get(store)!;
    store.close();
    return openAt(directory, maxBytes);
  },
  smallBytes: 256 * 1024,
});
