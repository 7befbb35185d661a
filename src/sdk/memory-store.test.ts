import { testDeviceStoreConformance } from '#sdk/device-store-conformance.ts';
import { memoryStore } from '#sdk/memory-store.ts';

testDeviceStoreConformance({ create: (maxBytes) => memoryStore({ maxBytes }), smallBytes: 64 * 1024 });
