/* How the search reads a question, and which of its answers come first. */

/** Words; td.ddim and tinydiff.ddim are the name ddim. */
var splitQuery = (query) => query.replace(/\b(td|tinydiff)\.(?=\w)/g, "").split(/[^\p{Letter}\p{Number}_]+/gu).filter((word) => word);

/** Functions and classes of the library come before its methods and modules, and the course's answers last. */
var Scorer = {
  score: ([, name, , description, score, , kind]) =>
    score + (kind === "object" && !name.includes(".course_answers") && /function|class/.test(description) ? 5 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 3, 1: 5, 2: -5 },  // modules, what is in them, …
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
