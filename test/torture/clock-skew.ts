/** Owns by how much this process's wall clock is wrong at the moment: 0 unless skewed-clock.ts was loaded. */

export const clockSkew = { ms: 0 };
