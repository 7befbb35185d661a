/** Owns the names that a download of readings goes by, apart from the schemas: clients in a browser need nothing else. */

export const exportFormats = ['csv', 'parquet'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** Header of an export: how many readings come, exactly for a whole stream, at most for a range of time. */
export const readingsHeader = 'kymo-readings';

/** What the file of a stream is called: its segment and its id. */
export function exportFileName(
  { segment, stream }: { readonly segment: string; readonly stream: string },
  format: ExportFormat,
): string {
  const plain = segment.replaceAll(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '');
  return `${plain === '' ? 'stream' : plain}-${stream}.${format}`;
}
