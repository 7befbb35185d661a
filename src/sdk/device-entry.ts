/** Owns what `kymo/device` is in Node: the device client with stores in files or memory. Names here are kept (docs/versions.md). */

export { AppError } from '#base/errors.ts';
export { openDevice, type OpenDeviceOptions } from '#sdk/device-client.ts';
export type { Device, DeviceCommand, DeviceStream, StreamOptions } from '#sdk/device-runtime.ts';
export type { DeviceStatus } from '#sdk/device-machine.ts';
export type { DeviceEvent, DevicePhase } from '#sdk/device-state.ts';
export type { DeviceStore, LossReason } from '#sdk/device-store.ts';
export { fileStore, type FileStoreOptions } from '#sdk/file-store.ts';
export { memoryStore, type MemoryStoreOptions } from '#sdk/memory-store.ts';
