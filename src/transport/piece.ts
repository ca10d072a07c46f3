/** Octets where they stand: a view of them takes more to make than a small message takes to read. */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

export const pieceOf = (bytes: Uint8Array): Piece => ({ bytes, from: 0, to: bytes.length });

/** As a view of the same memory. */
export const viewOf = ({ bytes, from, to }: Piece): Uint8Array =>
  from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
