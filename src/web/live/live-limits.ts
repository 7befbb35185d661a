/** Owns the limits that page and worker share. */

/** Streams drawn on one page: four full-body suits. Others are listed by the page, not drawn. */
export const MAX_STREAMS = 64;
