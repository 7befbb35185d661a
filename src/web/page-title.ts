/** Owns the document's title: what a person would call the page, then the product. */

import { useEffect } from 'react';

/** Sets the title while the page is shown: `Sessions` reads `Sessions · Kymo`. */
export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Kymo`;
  }, [title]);
}
