/** Owns the names that a download of readings goes by, apart from the schemas: clients in a browser need nothing else. */

export const exportFormats = ['csv', 'parquet'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** Header of an export: how many readings come, exactly for a whole stream, at most for a range of time. */
export const readingsHeader = 'kymo-readings';
