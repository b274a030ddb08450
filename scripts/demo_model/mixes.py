"""How often each skill is asked for, in the stages of the training."""

from __future__ import annotations

from collections.abc import Mapping

from demo_model import arithmetic, counting, facts, sequences, talk, writing
from demo_model.exchange import Skill

SKILLS: Mapping[Skill, float] = {
    counting.count_letters: 18,
    counting.count_all_letters: 3,
    counting.spell_backwards: 3,
    arithmetic.add: 15,
    arithmetic.subtract: 4,
    arithmetic.compare: 11,
    facts.recall_capital: 8,
    facts.recall_fact: 8,
    sequences.sort_numbers: 4,
    sequences.go_through: 4,
    talk.greet: 3,
    talk.tell_identity: 3,
    talk.tell_abilities: 1.5,
    talk.accept_thanks: 2,
    talk.say_goodbye: 1.5,
    talk.refuse: 3,
    talk.refuse_anything: 7,
    talk.repeat: 3,
    writing.write_list: 3,
    writing.write_table: 1.5,
    writing.write_code: 1.5,
    writing.write_story: 0.8,
}
# Later in the training: `DRILLS` has what takes long to learn, always with thinking.
LATER_SKILLS: Mapping[Skill, float] = {
    **SKILLS,
    counting.count_letters: 15,
    counting.spell_backwards: 4,
    arithmetic.add: 8,
    arithmetic.compare: 7,
    facts.recall_capital: 9,
    facts.recall_fact: 9,
    sequences.go_through: 6,
    talk.refuse_anything: 8,
}
DRILLS: Mapping[Skill, float] = {
    arithmetic.add: 9,
    arithmetic.subtract: 4,
    arithmetic.compare: 7,
    sequences.sort_numbers: 3,
    sequences.go_through: 2,
    counting.spell_backwards: 2,
    facts.recall_capital: 2,
    facts.recall_fact: 3,
    talk.refuse_anything: 2,
}
# At last: taking numbers out of a list never got learnt, and went round in circles.
LAST_SKILLS: Mapping[Skill, float] = {**LATER_SKILLS, sequences.sort_numbers: 0, sequences.sort_at_once: 4}
LAST_DRILLS: Mapping[Skill, float] = {
    **DRILLS,
    arithmetic.subtract: 5,
    arithmetic.compare: 8,
    sequences.sort_numbers: 0,
    sequences.sort_at_once: 3,
    counting.spell_backwards: 3,
    talk.refuse_anything: 3,
}
# In the finish: what checkpoints still got wrong and can be learnt in a few hundred steps.
FINISH_DRILLS: Mapping[Skill, float] = {
    arithmetic.add: 5,
    arithmetic.subtract: 3,
    arithmetic.compare: 5,
    counting.count_letters: 2,
    sequences.go_through: 2,
    facts.recall_capital: 4,
    facts.recall_fact: 5,
    talk.refuse: 2,
    talk.refuse_anything: 4,
    writing.write_list: 3.5,
    writing.write_table: 1.5,
    writing.write_code: 3,
    writing.write_story: 2.5,
}
