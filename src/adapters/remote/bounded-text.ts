import { ellipsized } from '../../text/shortened.ts';

const MAX_TEXT = 4096;

/** Bounds texts of a remote plugin, which are kept, shown and logged. */
export const boundedText = (text: string): string => ellipsized(text, MAX_TEXT);
