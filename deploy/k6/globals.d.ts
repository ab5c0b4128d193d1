// What k6 has beside ECMAScript and its own modules, as far as the scripts use it. For the type check only.
declare const console: { warn(message: string): void; error(message: string): void };
declare const crypto: { getRandomValues(array: Uint8Array): Uint8Array };
declare function setTimeout(callback: () => void, milliseconds: number): number;
declare function clearTimeout(timer: number): void;
