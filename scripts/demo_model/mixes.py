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
    talk.refuse_anything: 6,
    talk.repeat: 3,
    writing.write_list: 3,
    writing.write_table: 1.5,
    writing.write_code: 1.5,
    writing.write_story: 0.8,
}
# Later in the training, beside drills: a little less of what those drill.
DRILLED_SKILLS: Mapping[Skill, float] = {
    **SKILLS,
    counting.count_letters: 15,
    counting.spell_backwards: 4,
    arithmetic.add: 8,
    arithmetic.compare: 9,
    facts.recall_capital: 9,
    facts.recall_fact: 9,
    sequences.sort_numbers: 5,
    sequences.go_through: 6,
    talk.refuse_anything: 8,
    writing.write_code: 2,
    writing.write_story: 1.5,
}
# What takes long to learn, always with thinking.
DRILLS: Mapping[Skill, float] = {
    counting.count_letters: 3,
    counting.spell_backwards: 3,
    arithmetic.add: 7,
    arithmetic.subtract: 5,
    arithmetic.compare: 8,
    facts.recall_capital: 2.5,
    facts.recall_fact: 3,
    sequences.sort_numbers: 4,
    sequences.go_through: 2,
    talk.refuse_anything: 3,
    writing.write_list: 1,
    writing.write_story: 0.7,
}
