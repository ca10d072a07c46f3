/** `sluice/plugin`: everything that a plugin imports of Sluice. */
export * from './contract.ts';
