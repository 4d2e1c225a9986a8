//! A story of steps and observations, as a person reads it.

use snat_tests::lab::{Step, Story};

/// Prints a step, once it is over.
pub(crate) fn print(number: usize, step: &Step) {
    println!("{number}. {}", step.title);
    for observation in &step.observations {
        let mark = if observation.ok { '✓' } else { '✗' };
        println!(
            "   {mark} {:4} {}",
            observation.who,
            observation.saw.replace('\n', "\n          ")
        );
    }
    for line in step.table.iter().flat_map(|table| table.lines()) {
        println!("{}", format!("     {line}").trim_end());
    }
    println!();
}

/// Prints how many observations there were, and how many were wrong.
pub(crate) fn print_summary(story: &Story<'_>) {
    let all = || story.steps().iter().flat_map(|step| &step.observations);
    match all().filter(|observation| !observation.ok).count() {
        0 => println!("All {} observations are as they must be.", all().count()),
        wrong => println!("{wrong} of {} observations are wrong.", all().count()),
    }
}
