/** What build.py puts in: the files of the engine. `when` names the imports that need a part; "" is always. */
declare const PARTS: { name: string; file: string; bytes: number; when: string }[];
