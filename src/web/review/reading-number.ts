/** Owns the number of the reading under the crosshair: asked for when the crosshair rests, and remembered. */

import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';

import { server } from '#web/server.ts';

/** A crosshair that moves on asks for nothing. */
const REST_MS = 120;

/** Sequence number of the reading at a device time; null while it is not known. */
export function useReadingNumber(stream: string, deviceUs: number | null): number | null {
  const [restingUs, setRestingUs] = useState<number | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setRestingUs(deviceUs), REST_MS);
    return () => clearTimeout(timer);
  }, [deviceUs]);
  const isResting = deviceUs !== null && restingUs === deviceUs;
  const page = useQuery({
    queryKey: ['reading', stream, restingUs],
    queryFn: ({ signal }) =>
      server.readings(
        { streamId: stream, fromUs: restingUs, toUs: (restingUs ?? 0) + 1, limit: 1, cursor: null },
        signal,
      ),
    enabled: isResting,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
  return isResting ? (page.data?.runs[0]?.firstSeq ?? null) : null;
}
